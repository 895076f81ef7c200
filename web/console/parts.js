// What several pages show.

import { ofDoor, texts } from '/sdk/texts.js';
import { html, useEffect, useState } from './vendor/htm-preact.js';

/** what a state of a device, or an outcome of a call, is called. */
export const words = {
  idle: 'Ready', ringing: 'Ringing', busy: 'In a call', dnd: 'Do not disturb', degraded: 'Needs attention', offline: 'Offline',
  over: 'Answered', declined: 'Declined', missed: 'Missed', cancelled: 'Cancelled', failed: 'Failed',
};

export const State = ({ state }) => html`<span class=${`state ${state}`}>${words[state] ?? state}</span>`;

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

/** ago says how long ago a time was. */
export function ago(time) {
  const s = (Date.parse(time) - Date.now()) / 1000;
  for (const [unit, n] of [['day', 86400], ['hour', 3600], ['minute', 60]]) if (Math.abs(s) >= n) return relative.format(Math.round(s / n), unit);
  return relative.format(Math.round(s), 'second');
}

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
export const Time = ({ at }) => (at ? html`<time datetime=${at} title=${whole.format(new Date(at))}>${ago(at)}</time>` : '');

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
export function Call({ hub, to, context, title = 'Call' }) {
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
    if (!confirm(`Open the door of ${d.name || d.cuid}?`)) return;
    wait(true);
    say('');
    const answer = await hub.client.openDoor(d.cuid).catch((err) => err);
    worry(answer.result !== 'opened');
    say(ofDoor(texts, answer));
    wait(false);
  };
  useEffect(() => {
    const t = said && setTimeout(() => say(''), 8000);
    return () => clearTimeout(t);
  }, [said]);
  if (!d.door) return '';
  return html`<button onClick=${open} disabled=${busy} aria-label=${`Open door: ${d.name || d.cuid}`}>Open door</button><span class=${bad ? 'error' : 'good'} role="status">${said}</span>`;
}

export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2><p>${children}</p></div>`;
