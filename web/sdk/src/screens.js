// The call screens: one element with a shadow root, which shows what a client's call is doing.
//
// Colours, radius and font are CSS custom properties, to be set on the element: --intercom-accent, --intercom-on-accent,
// --intercom-surface, --intercom-text, --intercom-quiet, --intercom-good, --intercom-bad, --intercom-on-bad,
// --intercom-radius, --intercom-font.

import { attend } from './attention.js';
import { ofDoor, texts as english } from './texts.js';

/**
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('./call.js').Call} Call
 * @typedef {{texts?: Partial<typeof english>, parent?: HTMLElement, dir?: 'ltr' | 'rtl'}} ScreenOptions texts: in place of the English ones; parent: where the
 * screens are, the page's body when left out; dir: of the text, the page's own when left out
 */

const style = `
:host {
  --accent: var(--intercom-accent, #0b5fbf);
  --on-accent: var(--intercom-on-accent, #fff);
  --surface: var(--intercom-surface, #fff);
  --text: var(--intercom-text, #1c1f24);
  --quiet: var(--intercom-quiet, #5b6370);
  --good: var(--intercom-good, #17713a);
  --bad: var(--intercom-bad, #b3261e);
  --on-bad: var(--intercom-on-bad, #fff);
  color-scheme: light dark;
  font: 16px/1.5 var(--intercom-font, system-ui, sans-serif);
}
@media (prefers-color-scheme: dark) {
  :host {
    --accent: var(--intercom-accent, #7db8ff);
    --on-accent: var(--intercom-on-accent, #0c1520);
    --surface: var(--intercom-surface, #1e2127);
    --text: var(--intercom-text, #e8eaee);
    --quiet: var(--intercom-quiet, #a3abb8);
    --good: var(--intercom-good, #6fd596);
    --bad: var(--intercom-bad, #ff9a94);
    --on-bad: var(--intercom-on-bad, #2b0a08);
  }
}
[hidden] { display: none !important; }
section {
  position: fixed; z-index: 2147483000; inset-block-end: 1rem; inset-inline-end: 1rem; box-sizing: border-box; inline-size: min(22rem, calc(100vw - 2rem));
  padding: 1.5rem; border-radius: var(--intercom-radius, 16px); background: var(--surface); color: var(--text); text-align: center;
  box-shadow: 0 0 0 1px rgb(128 128 128 / .2), 0 12px 40px rgb(0 0 0 / .3); animation: come .2s ease-out;
}
@keyframes come { from { opacity: 0; transform: translateY(1rem); } }
.face { position: relative; inline-size: 6rem; block-size: 6rem; margin: .25rem auto 1rem; }
.face > * { position: absolute; inset: 0; border-radius: 50%; }
.face span { display: grid; place-items: center; background: var(--accent); color: var(--on-accent); font-size: 2.25rem; font-weight: 600; }
.face img { inline-size: 100%; block-size: 100%; object-fit: cover; }
.waits .face::before { content: ''; position: absolute; inset: 0; border-radius: 50%; border: 2px solid var(--accent); animation: wave 1.6s ease-out infinite; }
@keyframes wave { to { transform: scale(1.5); opacity: 0; } }
h2 { margin: 0; font-size: 1.25rem; line-height: 1.3; overflow-wrap: anywhere; }
p { margin: .25rem 0 0; overflow-wrap: anywhere; }
.context { color: var(--quiet); }
.state { font-variant-numeric: tabular-nums; }
.notice, .door.bad { color: var(--bad); font-weight: 600; }
.door { color: var(--good); font-weight: 600; }
.level { block-size: 4px; margin: .75rem auto 0; inline-size: 8rem; border-radius: 2px; background: rgb(128 128 128 / .25); overflow: hidden; }
.level i { display: block; block-size: 100%; inline-size: 100%; background: var(--good); transform-origin: left; transform: scaleX(0); transition: transform .2s; }
:host([dir=rtl]) .level i { transform-origin: right; }
.bars { display: inline-flex; gap: 2px; align-items: end; block-size: .875rem; vertical-align: baseline; }
.bars i { inline-size: 4px; background: currentColor; opacity: .25; border-radius: 1px; }
.bars i:nth-child(1) { block-size: 25%; } .bars i:nth-child(2) { block-size: 50%; } .bars i:nth-child(3) { block-size: 75%; } .bars i:nth-child(4) { block-size: 100%; }
.bars i.on { opacity: 1; }
nav { display: flex; flex-wrap: wrap; gap: .75rem; justify-content: center; margin-block-start: 1.25rem; }
button {
  display: inline-flex; gap: .375rem; align-items: center; justify-content: center; flex: 1 1 8rem; min-block-size: 3rem; padding: .5rem .625rem; border: 1px solid transparent; border-radius: 999px;
  font: inherit; font-weight: 600; cursor: pointer; background: rgb(128 128 128 / .18); color: var(--text);
}
button.good { background: var(--good); color: var(--surface); }
button.bad { background: var(--bad); color: var(--on-bad); }
button[aria-pressed=true] { background: var(--text); color: var(--surface); }
button[aria-disabled=true] { opacity: .6; cursor: default; }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
svg { inline-size: 1.25rem; block-size: 1.25rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; flex: none; }
.down svg { transform: rotate(135deg); }
@media (max-width: 30rem) { section { inset-inline: .5rem; inset-block-end: .5rem; inline-size: auto; } }
@media (prefers-reduced-motion: reduce) { section, .waits .face::before, .level i { animation: none; transition: none; } }
@media (forced-colors: active) { section, button { border: 1px solid; } .bars i { background: CanvasText; } }
`;

const phone = 'M6.6 10.8a15 15 0 0 0 6.6 6.6l2.2-2.2a1 1 0 0 1 1-.25 11 11 0 0 0 3.5.55 1 1 0 0 1 1 1V20a1 1 0 0 1-1 1A17 17 0 0 1 3 4a1 1 0 0 1 1-1h3.5a1 1 0 0 1 1 1 11 11 0 0 0 .55 3.5 1 1 0 0 1-.25 1z';
const mic = 'M12 15a4 4 0 0 0 4-4V6a4 4 0 0 0-8 0v5a4 4 0 0 0 4 4zM5 11a7 7 0 0 0 14 0M12 18v3';
const gate = 'M5 21V4a1 1 0 0 1 1-1h12a1 1 0 0 1 1 1v17M3 21h18M15 12h.01';
const sound = 'M4 10v4h4l5 4V6L8 10zM17 9a4 4 0 0 1 0 6M19.5 6.5a8 8 0 0 1 0 11';

/** How long an end is shown. */
const farewell = 2500;

/**
 * show has a client's calls shown, until it signs out.
 * @param {Client} client
 * @param {ScreenOptions} [options]
 */
export function show(client, options = {}) {
  if (!customElements.get('intercom-screens')) customElements.define('intercom-screens', Screens);
  const e = /** @type {Screens} */ (document.createElement('intercom-screens'));
  e.follow(client, options);
  (options.parent ?? document.body ?? document.documentElement).append(e);
  return e;
}

/**
 * el makes an element.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 */
function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

/** @param {string} d */
function icon(d) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(ns, 'path');
  path.setAttribute('d', d);
  svg.append(path);
  return svg;
}

/** clock writes seconds as hh:mm:ss. @param {number} ms */
function clock(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  return [s / 3600, (s / 60) % 60, s % 60].map((n) => String(Math.floor(n)).padStart(2, '0')).join(':');
}

const quiet = { text: '', bad: false, busy: false };

/** Screens is the element. */
export class Screens extends HTMLElement {
  #texts = english;
  /** @type {Client | undefined} */
  #client;
  /** @type {Call | undefined} */
  #call;
  /** @type {(() => void)[]} */
  #off = [];
  #timer = 0;
  /** @type {Set<string>} */
  #warnings = new Set();
  #elsewhere = false;
  /** @type {{text: string, bad: boolean, busy: boolean}} what became of the door */
  #door = quiet;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    root.adoptedStyleSheets = [sheet];
    const button = (/** @type {string} */ name, /** @type {string} */ look, /** @type {string} */ d, /** @type {() => void} */ f) => {
      const b = el('button', { type: 'button', class: look, 'data-do': name }, icon(d), el('span'));
      b.addEventListener('click', f);
      return b;
    };
    /** @type {Record<string, HTMLElement>} */
    this.parts = {
      title: el('p', { class: 'context', id: 'title' }),
      initial: el('span', { 'aria-hidden': 'true' }),
      image: el('img', { alt: '', referrerpolicy: 'no-referrer', decoding: 'async' }),
      name: el('h2', { id: 'name' }),
      context: el('p', { class: 'context' }),
      state: el('p', { class: 'state', role: 'timer' }),
      notice: el('p', { class: 'notice', role: 'alert' }),
      level: el('i'),
      answer: button('answer', 'good', phone, () => this.#answer()),
      mute: button('mute', '', mic, () => this.#call?.mute(!this.#call.muted)),
      door: button('door', '', gate, () => this.#open()),
      end: button('end', 'bad down', phone, () => this.#call?.hangup()),
      unlock: button('unlock', '', sound, () => {
        this.#warnings.delete('unlock');
        this.#call?.play();
        this.#draw();
      }),
    };
    const p = this.parts;
    p.image.addEventListener('error', () => { p.image.hidden = true; });
    p.bars = el('span', { class: 'bars', role: 'img' }, el('i'), el('i'), el('i'), el('i'));
    p.meter = el('div', { class: 'level', 'aria-hidden': 'true' }, p.level);
    p.opened = el('p', { role: 'status', class: 'door' });
    p.live = el('p', { role: 'status', class: 'context' });
    this.box = el('section', { role: 'dialog', 'aria-labelledby': 'title name', hidden: '' },
      p.title, el('div', { class: 'face' }, p.initial, p.image), p.name, p.context, p.live, el('p', {}, p.bars), p.state, p.notice, p.opened, p.meter, el('nav', {}, p.answer, p.door, p.mute, p.unlock, p.end));
    this.box.addEventListener('keydown', (e) => { if (e.key === 'Escape' && this.#call?.state === 'ringing') this.#call.hangup(); });
    root.append(this.box);
  }

  /**
   * follow shows a client's calls from now on.
   * @param {Client} client
   * @param {ScreenOptions} options
   */
  follow(client, options) {
    this.#client = client;
    this.#texts = { ...english, ...options.texts };
    this.dir = options.dir ?? (getComputedStyle(document.documentElement).direction === 'rtl' ? 'rtl' : 'ltr');
    this.#off = [
      client.on('call', (call) => this.#begin(call)),
      client.on('elsewhere', (call) => this.#other(call)),
      client.on('ring_blocked', (on) => {
        if (on) this.#warnings.add('unlock');
        else this.#warnings.delete('unlock');
        this.#draw();
      }),
      client.on('state', (s) => { if (s === 'signed_out') this.remove(); }),
      attend(client, this.#texts.incoming),
    ];
    if (client.current) this.#begin(client.current);
  }

  disconnectedCallback() {
    for (const off of this.#off.splice(0)) off();
    clearInterval(this.#timer);
  }

  /** @param {Call} call */
  #begin(call) {
    this.#call = call;
    this.#elsewhere = false;
    this.#warnings.clear();
    this.#door = quiet;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), 250);
    const own = [
      call.on('state', () => {
        this.#draw();
        if (call.state !== 'ended') return;
        for (const off of own) off();
        clearInterval(this.#timer);
        setTimeout(() => { if (this.#call === call) this.#gone(); }, call.outcome?.reason === 'elsewhere' ? 0 : farewell);
      }),
      call.on('muted', () => this.#draw()),
      call.on('capabilities', () => this.#draw()),
      call.on('quality', () => this.#tick()),
      call.on('warning', ({ name, on }) => {
        if (on) this.#warnings.add(name);
        else this.#warnings.delete(name);
        this.#draw();
      }),
      call.on('device', ({ lost }) => {
        if (lost) this.#warnings.add('no_microphone');
        else this.#warnings.delete('no_microphone');
        this.#draw();
      }),
      call.on('blocked', () => {
        this.#warnings.add('unlock');
        this.#draw();
      }),
    ];
    this.#draw();
    // Not from under the fingers of somebody who writes: the next key would answer.
    if (call.direction === 'in' && (!document.activeElement || document.activeElement === document.body)) this.parts.answer.focus();
  }

  #gone() {
    this.#call = undefined;
    this.box.hidden = true;
  }

  /** open opens the other side's door, and says what became of that. */
  async #open() {
    const call = this.#call;
    if (!call || this.#door.busy) return;
    const say = (/** @type {typeof quiet} */ door) => {
      if (this.#call !== call) return;
      this.#door = door;
      this.#draw();
    };
    say({ text: this.#texts.opening, bad: false, busy: true });
    const answer = await call.openDoor().catch((err) => /** @type {Error} */ (err));
    const said = { text: ofDoor(this.#texts, answer), bad: answer instanceof Error || answer.result !== 'opened', busy: false };
    say(said);
    setTimeout(() => { if (this.#door === said) say(quiet); }, 8000);
  }

  #answer() {
    if (this.#elsewhere) this.#client?.answerHere();
    else this.#call?.answer();
  }

  /** @param {{peer: {cuid: string, name?: string, image?: string}, context: string, direction: string, state: string} | undefined} call */
  #other(call) {
    this.#elsewhere = Boolean(call) && call?.state !== 'ended';
    if (this.#call && this.#call.state !== 'ended') return;
    this.box.hidden = !this.#elsewhere;
    if (!call || !this.#elsewhere) return;
    const rings = call.direction === 'in' && call.state === 'ringing';
    this.#who(call);
    this.#say({ title: rings ? 'incoming' : 'talking', live: 'elsewhere' });
    this.#only(rings ? ['answer'] : [], { answer: 'answerHere' });
  }

  /** @param {{peer: {cuid: string, name?: string, image?: string}, context: string}} call */
  #who({ peer, context }) {
    const p = this.parts;
    const name = peer.name || peer.cuid;
    p.name.textContent = name;
    p.initial.textContent = [...name][0].toUpperCase();
    p.context.textContent = context;
    const image = /** @type {HTMLImageElement} */ (p.image);
    if ((peer.image ?? '') !== (image.getAttribute('src') ?? '')) {
      image.hidden = !peer.image;
      if (peer.image) image.src = peer.image;
      else image.removeAttribute('src');
    }
  }

  /** @param {{title: keyof typeof english, live: keyof typeof english | ''}} what */
  #say({ title, live }) {
    const text = live ? this.#texts[live] : '';
    this.parts.title.textContent = this.#texts[title];
    if (this.parts.live.textContent !== text) this.parts.live.textContent = text; // or it would be read out again
  }

  /**
   * only shows these buttons.
   * @param {string[]} names
   * @param {Record<string, keyof typeof english>} words on them
   */
  #only(names, words) {
    for (const name of ['answer', 'door', 'mute', 'unlock', 'end']) {
      const b = this.parts[name];
      b.hidden = !names.includes(name);
      const word = words[name];
      if (word) /** @type {HTMLElement} */ (b.lastChild).textContent = this.#texts[word];
    }
    for (const name of ['bars', 'meter', 'state', 'notice', 'opened']) if (!this.#call) this.parts[name].hidden = true;
  }

  #draw() {
    const call = this.#call;
    if (!call) return;
    const { state, direction } = call;
    const p = this.parts;
    this.box.hidden = false;
    this.box.className = state === 'calling' || state === 'ringing' || state === 'connecting' ? 'waits' : '';
    this.#who(call);
    const incoming = direction === 'in' && state === 'ringing';
    const ended = state === 'ended';
    this.#say({
      title: ended ? call.outcome?.status ?? 'over' : call.answered || state === 'connecting' ? 'talking' : direction === 'in' ? 'incoming' : 'outgoing',
      live: ended || incoming ? '' : state === 'talking' ? (call.muted ? 'muted' : '') : state,
    });
    const unlock = this.#warnings.has('unlock') ? ['unlock'] : [];
    const door = call.door ? ['door'] : [];
    this.#only(ended ? [] : incoming ? ['answer', ...unlock, 'end'] : call.answered ? [...door, 'mute', ...unlock, 'end'] : ['end'],
      { answer: 'answer', door: 'openDoor', mute: call.muted ? 'unmute' : 'mute', unlock: 'unlock', end: incoming ? 'decline' : direction === 'out' && !call.answered ? 'cancel' : 'hangup' });
    p.door.setAttribute('aria-disabled', String(this.#door.busy));
    p.opened.className = this.#door.bad ? 'door bad' : 'door';
    if (p.opened.textContent !== this.#door.text) p.opened.textContent = this.#door.text;
    p.opened.hidden = ended || !this.#door.text;
    p.mute.setAttribute('aria-pressed', String(call.muted));
    const notice = [...this.#warnings].find((w) => w in this.#texts && w !== 'limit' && w !== 'unlock');
    const text = ended ? (call.outcome?.error && call.outcome.status === 'failed' ? call.outcome.error.message : '') : notice ? this.#texts[/** @type {keyof typeof english} */ (notice)] : '';
    if (p.notice.textContent !== text) p.notice.textContent = text;
    p.notice.hidden = !text;
    this.#tick();
  }

  #tick() {
    const call = this.#call;
    if (!call) return;
    const p = this.parts;
    const live = call.since > 0 && call.state !== 'ended';
    p.state.hidden = !live;
    p.meter.hidden = !live;
    p.bars.hidden = !live || !call.quality;
    if (!live) return;
    const left = call.until && this.#warnings.has('limit') ? ` · ${this.#texts.left.replace('{time}', clock(call.until - Date.now() + 999))}` : '';
    const text = clock(Date.now() - call.since) + left;
    if (p.state.textContent !== text) p.state.textContent = text;
    if (!call.quality) return;
    p.level.style.transform = `scaleX(${Math.min(1, Math.sqrt(call.quality.level))})`;
    const n = call.quality.mos > 4 ? 4 : call.quality.mos > 3.6 ? 3 : call.quality.mos > 3.1 ? 2 : 1;
    p.bars.setAttribute('aria-label', this.#texts.quality.replace('{n}', String(n)));
    [...p.bars.children].forEach((bar, i) => bar.classList.toggle('on', i < n));
  }
}
