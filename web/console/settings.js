// This browser: its address, and what it hears and speaks with.

import { html, useEffect, useState } from './html.js';
import { checkCUID } from '/sdk/check.js';
import { ask, move } from './hub.js';
import { fill, texts } from './texts.js';

const kinds = ['microphone', 'speaker', 'ringer'];

export function Settings({ hub, who }) {
  const { client } = hub;
  const [devices, show] = useState({});
  const [saved, say] = useState('');
  const look = async () => show(Object.fromEntries(await Promise.all(kinds.map(async (kind) => [kind, await client.devices.list(kind)]))));
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
      if (device?.agent?.startsWith('intercomd/') || stations.some((s) => s.cuid === cuid)) throw new Error(fill(texts.addressOfStation, { cuid })); // also of one that is offline
      await move(who, cuid);
      location.reload();
    } catch (err) {
      refuse(err.code === 'ERR_ALREADY_SIGNEDIN' ? fill(texts.addressTaken, { cuid }) : err.message.replace('The cuid', 'The address'));
      wait(false);
    }
  };
  const unnamed = Object.values(devices).some((all) => all.some((d) => !d.label));
  return html`
    <h1>${texts.settings}</h1>
    ${saved && html`<p role="status">${saved}</p>`}
    <div class="grid">
      <section class="box"><h2>${texts.thisBrowser}</h2>
        <form onSubmit=${save}>
          <label>${texts.address} <input name="cuid" defaultValue=${client.cuid} required aria-invalid=${wrong ? 'true' : 'false'} aria-describedby="wrong" /><small>${texts.addressWhy}</small></label>
          <p id="wrong" class="error" role="alert">${wrong}</p>
          <button disabled=${busy}>${texts.saveAndReload}</button>
        </form>
        <p class="quiet">${fill(texts.signedInAs, { name: who.name, role: texts[who.role] ?? who.role, account: who.account })}</p>
      </section>
      <section class="box"><h2>${texts.sound}</h2>
        ${unnamed && html`<p>${texts.namesHidden}</p><button onClick=${permit}>${texts.allowMicrophone}</button>`}
        ${kinds.map((kind) => html`<label>${texts[kind]} <select value=${client.devices.chosen(kind)} onChange=${(e) => client.devices.choose(kind, e.target.value)}>
          <option value="">${texts.systemDefault}</option>
          ${(devices[kind] ?? []).filter((d) => d.id && d.id !== 'default').map((d, i) => html`<option value=${d.id}>${d.label || fill(texts.device, { kind: texts[kind], n: i + 1 })}</option>`)}
        </select></label>`)}
      </section>
      ${globalThis.Notification && html`<section class="box"><h2>${texts.notifications}</h2>
        <p>${Notification.permission === 'granted' ? texts.notificationsOn : texts.notificationsOff}</p>
        ${Notification.permission === 'default' && html`<button onClick=${() => Notification.requestPermission().then(() => say(texts.saved))}>${texts.allowNotifications}</button>`}
        ${Notification.permission === 'denied' && html`<p class="quiet">${texts.notificationsDenied}</p>`}
      </section>`}
    </div>`;
}
