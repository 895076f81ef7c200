// This browser: its address, and what it hears and speaks with.

import { html, useEffect, useState } from './vendor/htm-preact.js';
import { checkCUID } from '/sdk/check.js';
import { ask, move } from './hub.js';

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
  const [wrong, refuse] = useState('');
  const [busy, wait] = useState(false);
  /** save moves this browser to another address, or says at the field why not. */
  const save = async (e) => {
    e.preventDefault();
    const cuid = new FormData(e.target).get('cuid');
    refuse('');
    if (cuid === client.cuid) return;
    wait(true);
    try {
      checkCUID(cuid);
      const device = hub.devices.get(cuid);
      const { stations } = await ask('/v1/expect');
      if (device?.agent?.startsWith('intercomd/') || stations.some((s) => s.cuid === cuid)) throw new Error(`${cuid} is the address of a station; choose another.`); // also of one that is offline
      await move(who, cuid);
      location.reload();
    } catch (err) {
      refuse(err.code === 'ERR_ALREADY_SIGNEDIN' ? `${cuid} is in use on another device; choose another.` : err.message.replace('The cuid', 'The address'));
      wait(false);
    }
  };
  const unnamed = Object.values(devices).some((all) => all.some((d) => !d.label));
  return html`
    <h1>Settings</h1>
    ${saved && html`<p role="status">${saved}</p>`}
    <div class="grid">
      <section class="box"><h2>This browser</h2>
        <form onSubmit=${save}>
          <label>Address <input name="cuid" defaultValue=${client.cuid} required aria-invalid=${wrong ? 'true' : 'false'} aria-describedby="wrong" /><small>What stations call to reach it. Each browser has one of its own.</small></label>
          <p id="wrong" class="error" role="alert">${wrong}</p>
          <button disabled=${busy}>Save and reload</button>
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
