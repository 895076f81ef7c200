// What several pages show.

import { ofDoor, texts as screens } from '/sdk/texts.js';
import { html, useEffect, useState } from './html.js';
import { fill, texts } from './texts.js';

export const State = ({ state }) => html`<span class=${`state ${state}`}>${texts.states[state] ?? state}</span>`;

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

/** since gives the time since then in the unit that suits it. */
function since(time) {
  const s = (Date.now() - Date.parse(time)) / 1000;
  for (const [unit, n] of [['day', 86400], ['hour', 3600], ['minute', 60]]) if (Math.abs(s) >= n) return [Math.round(s / n), unit];
  return [Math.round(s), 'second'];
}

function ago(time) {
  const [n, unit] = since(time);
  return relative.format(-n, unit);
}

function duration(time) {
  const [n, unit] = since(time);
  return new Intl.NumberFormat(undefined, { style: 'unit', unit, unitDisplay: 'short' }).format(Math.max(n, 0));
}

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
export const Time = ({ at }) => (at ? html`<time datetime=${at} title=${whole.format(new Date(at))}>${ago(at)}</time>` : '');

/** Since is how long it has been since a time. */
export const Since = ({ at }) => html`<time datetime=${at} title=${whole.format(new Date(at))}>${duration(at)}</time>`;

/** lasting writes milliseconds as minutes and seconds. */
export const lasting = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;

/** useAsk gets something when the page is shown, and again when one of on changes. */
export function useAsk(f, on) {
  const [got, set] = useState({});
  useEffect(() => {
    let left = false;
    f().then((value) => { if (!left) set({ value }); }, (error) => { if (!left) set((was) => ({ ...was, error })); });
    return () => { left = true; };
  }, on);
  return got;
}

/** useTick shows the page again now and then: times grow older. */
export function useTick(ms) {
  const [, tick] = useState(0);
  useEffect(() => {
    const t = setInterval(() => tick((n) => n + 1), ms);
    return () => clearInterval(t);
  }, []);
}

/** Call is a button that calls somebody; what is wrong is said below it. */
export function Call({ hub, to, context, title = texts.call }) {
  const [error, fail] = useState('');
  const go = () => {
    fail('');
    try {
      hub.client.call(to, context, { receiver_name: hub.devices.get(to)?.name });
    } catch (err) {
      fail(err.message);
    }
  };
  const mine = hub.client.cuid === to;
  return html`<button class="main" onClick=${go} disabled=${mine || Boolean(hub.client.current)}>${title}</button>${error && html`<span class="error" role="alert">${error}</span>`}`;
}

/** Door is a button that opens a station's door outside a call, where its operator allows it from here; it says what became of that. */
export function Door({ hub, d }) {
  const [said, say] = useState('');
  const [bad, worry] = useState(false);
  const [busy, wait] = useState(false);
  const open = async () => {
    if (!confirm(fill(texts.openDoorSure, { name: d.name || d.cuid }))) return;
    wait(true);
    say('');
    const answer = await hub.client.openDoor(d.cuid).catch((err) => err);
    worry(answer.result !== 'opened');
    say(ofDoor(screens, answer));
    wait(false);
  };
  useEffect(() => {
    const t = said && setTimeout(() => say(''), 8000);
    return () => clearTimeout(t);
  }, [said]);
  if (!d.door) return '';
  return html`<button onClick=${open} disabled=${busy} aria-label=${fill(texts.openDoorOf, { name: d.name || d.cuid })}>${texts.openDoor}</button><span class=${bad ? 'error' : 'good'} role="status">${said}</span>`;
}

export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2><p>${children}</p></div>`;
