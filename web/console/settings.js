// This browser: its address, and what it hears and speaks with.

import { html, useEffect, useState } from './vendor/htm-preact.js';
import { checkCUID } from '/sdk/check.js';
import { setAddress } from './hub.js';

const kinds = [['microphone', 'Microphone'], ['speaker', 'Loudspeaker for calls'], ['ringer', 'Loudspeaker for ringing']];

export function Settings({ hub, who }) {
  const { client } = hub;
  const [devices, show] = useState({});
  const [saved, say] = useState('');
  const look = async () => show(Object.fromEntries(await Promise.all(kinds.map(async ([kind]) => [kind, await client.devices.list(kind)]))));
  useEffect(() => {
    look();
    return client.devices.on('change', look);
  }, []);
  const permit = async () => {
    try {
      (await client.devices.microphone()).stop();
      await look();
    } catch (err) {
      say(err.message);
    }
  };
  const move = (e) => {
    e.preventDefault();
    const cuid = new FormData(e.target).get('cuid');
    try {
      checkCUID(cuid);
    } catch (err) {
      return say(err.message);
    }
    setAddress(cuid);
    location.reload();
  };
  const unnamed = Object.values(devices).some((all) => all.some((d) => !d.label));
  return html`
    <h1>Settings</h1>
    ${saved && html`<p role="status">${saved}</p>`}
    <div class="grid">
      <section class="box"><h2>This browser</h2>
        <form onSubmit=${move}>
          <label>Address <input name="cuid" defaultValue=${client.cuid} required /><small>What stations call to reach it. Each browser has one of its own.</small></label>
          <button>Save and load again</button>
        </form>
        <p class="quiet">Signed in as ${who.name} (${who.role}) of ${who.account}.</p>
      </section>
      <section class="box"><h2>Sound</h2>
        ${unnamed && html`<p>The browser tells the names of its devices when the page may use the microphone.</p><button onClick=${permit}>Allow the microphone</button>`}
        ${kinds.map(([kind, title]) => html`<label>${title} <select value=${client.devices.chosen(kind)} onChange=${(e) => client.devices.choose(kind, e.target.value)}>
          <option value="">As the system says</option>
          ${(devices[kind] ?? []).filter((d) => d.id && d.id !== 'default').map((d, i) => html`<option value=${d.id}>${d.label || `${title} ${i + 1}`}</option>`)}
        </select></label>`)}
      </section>
      ${globalThis.Notification && html`<section class="box"><h2>Notifications</h2>
        <p>${Notification.permission === 'granted' ? 'A call that comes in while this page is hidden is shown by the system.' : 'A call that comes in while this page is hidden can be shown by the system.'}</p>
        ${Notification.permission === 'default' && html`<button onClick=${() => Notification.requestPermission().then(() => say('Saved.'))}>Allow notifications</button>`}
        ${Notification.permission === 'denied' && html`<p class="quiet">They are denied for this page, in the browser's settings.</p>`}
      </section>`}
    </div>`;
}
