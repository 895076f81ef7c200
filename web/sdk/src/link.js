// One session with the hub, over as many connections as it takes: docs/protocol.md.

import { after } from './clock.js';
import { IntercomError } from './errors.js';

/**
 * @typedef {{t: string, id?: number, re?: number, seq?: number, ack?: number, call?: string, b?: any}} Envelope
 * @typedef {{
 *   url: string, account?: string, cuid: string, name?: string, instance: string,
 *   secret: () => Promise<{apikey?: string, token?: string}>,
 *   calls: () => {call: string, ticket?: string}[],
 *   up: (welcome: any) => void, down: (why: IntercomError) => void, receive: (e: Envelope) => void,
 * }} Settings
 */

const second = 1000;
const signInTime = 10 * second;
const ackTime = 10 * second;
const pingEvery = 15 * second;
const deadAfter = 20 * second;
const kept = 64;
const mostRetryAfter = 600 * second; // a hub cannot keep a browser away for longer with one word

/** Link keeps one session until stop. What is sent while it is signed in is said again on the next connection. */
export class Link {
  #set;
  /** @type {WebSocket | undefined} */
  #ws;
  #up = false;
  #active = false;
  #stopped = false;
  #tries = 0;
  #wrong = 0; // keys in a row
  #since = 0; // of the sign-in
  #heard = 0; // when
  /** @type {Set<() => void>} */
  #timers = new Set();
  /** @type {IntercomError | undefined} what the hub said before it closed */
  #why;

  // Of the session.
  #session = '';
  #ids = 0;
  #out = 0; // number of the newest message of ours
  #in = 0; // number of the newest of the hub's
  /** @type {Envelope[]} */
  #kept = [];
  /** @type {Map<number, {ok: (b: any) => void, fail: (err: IntercomError) => void}>} */
  #asked = new Map();

  /** @param {Settings} set */
  constructor(set) { this.#set = set; }

  start() {
    this.#active = true;
    this.#dial();
  }

  /**
   * stop leaves for good.
   * @param {boolean} [bye] says so to the hub, so that nobody waits for it to come back
   */
  stop(bye = true) {
    this.#stopped = true;
    if (bye) this.pause();
    this.yield();
  }

  /** yield leaves without a word: another page goes on as this device. */
  yield() {
    this.#active = false;
    this.#drop(1000);
    this.#session = '';
    this.#forget(this.#away());
  }

  /** away says why nothing can be asked. */
  #away() { return this.#stopped ? IntercomError.signedOut() : new IntercomError('ERR_CONNECTION_NOT_ESTABLISHED'); }

  /** pause leaves for as long as the page sleeps; now comes back. */
  pause() {
    if (this.#up) this.#put({ t: 'bye' });
    this.#drop(1000);
    this.#session = '';
  }

  /**
   * now tries at once, when there is reason to think that it works again or does not any more.
   * @param {number} [patience] that a hub has to answer, in milliseconds
   */
  now(patience = 3 * second) {
    if (!this.#active) return;
    if (!this.#ws) {
      this.#clear();
      this.#dial();
    } else if (this.#up) {
      const heard = this.#heard;
      this.request('ping').catch(() => {});
      this.#later(patience, () => { if (this.#heard === heard) this.#lost(new IntercomError('ERR_INTERNET_LOST'), 0); });
    }
  }

  /**
   * send has a message said, and gives its number; 0 when nobody is signed in.
   * @param {string} t
   * @param {string} [call]
   * @param {unknown} [b]
   */
  send(t, call, b) { return this.#say({ t, call, b }) ? this.#out : 0; }

  /**
   * request is send for what is answered.
   * @param {string} t
   * @param {string} [call]
   * @param {unknown} [b]
   * @returns {Promise<any>}
   */
  request(t, call, b) {
    return new Promise((ok, fail) => {
      const id = ++this.#ids;
      if (!this.#say({ t, id, call, b })) {
        fail(this.#away());
        return;
      }
      const stop = after(ackTime, () => {
        this.#asked.delete(id);
        fail(new IntercomError('ERR_INTERNET_LOST', 'The hub did not answer in time; check the network.'));
      });
      this.#asked.set(id, { ok: (v) => { stop(); ok(v); }, fail: (err) => { stop(); fail(err); } });
    });
  }

  /** @param {Envelope} e */
  #say(e) {
    if (!this.#up) return false;
    if (this.#in) e.ack = this.#in;
    if (e.call) {
      e.seq = ++this.#out;
      this.#kept.push(e);
      if (this.#kept.length > kept) this.#kept.shift();
    }
    this.#put(e);
    return true;
  }

  /** @param {Envelope} e */
  #put(e) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(e));
  }

  #dial() {
    this.#why = undefined;
    let ws;
    try {
      ws = new WebSocket(this.#set.url, 'intercom.v1');
    } catch (err) {
      // For example ws:// from a page that came over https: trying again does not help.
      this.#lost(new IntercomError('ERR_INVALID_INITPARAMETERS', `The hub's address cannot be used: ${/** @type {Error} */ (err).message}`, { field: 'url' }));
      return;
    }
    this.#ws = ws;
    this.#heard = Date.now();
    this.#later(signInTime, () => { if (!this.#up) this.#lost(new IntercomError('ERR_INTERNET_LOST')); });
    ws.onmessage = ({ data }) => { if (ws === this.#ws) this.#take(JSON.parse(data)); };
    ws.onclose = ({ code }) => { if (ws === this.#ws) this.#lost(this.#why ?? reason(code)); };
  }

  /** @param {Envelope} e */
  async #take(e) {
    this.#heard = Date.now();
    switch (e.t) {
      case 'challenge': return this.#hello();
      case 'welcome': return this.#welcome(e.b);
      case 'goaway': {
        const wait = 1 + Math.random() * Math.min(e.b?.spread_ms || 1, 60 * second);
        this.#why = new IntercomError('ERR_HUB_DEGRADED', 'The hub restarts.', { retry_after_ms: wait });
        return;
      }
    }
    if (!this.#up) {
      this.#why = IntercomError.of(e.b);
      return;
    }
    while (this.#kept.length && (this.#kept[0].seq ?? 0) <= (e.ack ?? 0)) this.#kept.shift();
    if (e.seq) {
      if (e.seq <= this.#in) return; // it came before
      this.#in = e.seq;
    }
    if (e.re) {
      const asked = this.#asked.get(e.re);
      this.#asked.delete(e.re);
      if (e.t === 'error') asked?.fail(IntercomError.of(e.b));
      else asked?.ok(e.b ?? {});
    } else if (e.t === 'error') {
      this.#why = IntercomError.of(e.b);
    } else {
      this.#set.receive(e);
    }
  }

  async #hello() {
    const ws = this.#ws;
    const { account, cuid, name, instance, calls, secret } = this.#set;
    try {
      const b = { account, ...(await secret()), cuid, name, instance, agent: 'intercom-sdk/0.1', calls: calls(),
        resume: this.#session ? { session: this.#session, seq: this.#in } : undefined };
      if (ws === this.#ws) this.#put({ t: 'hello', id: ++this.#ids, b });
    } catch (err) {
      const text = /** @type {Error} */ (err)?.message ?? err;
      const why = err instanceof IntercomError ? err : err instanceof TypeError // which is what fetch throws without a network
        ? new IntercomError('ERR_INTERNET_LOST', `The token could not be fetched; check the network: ${text}`)
        : new IntercomError('ERR_INVALID_CREDENTIALS', `There is no token: ${text}.`);
      if (ws === this.#ws) this.#lost(why);
    }
  }

  /** @param {any} w */
  #welcome(w) {
    const missed = this.#kept.filter((e) => (e.seq ?? 0) > (w.ack ?? 0));
    const whole = w.resumed && this.#out - (w.ack ?? 0) === missed.length;
    if (!whole) {
      this.#forget(new IntercomError('ERR_INTERNET_LOST'));
      this.#out = this.#in = 0;
      this.#kept = [];
    }
    this.#session = w.session;
    this.#up = true;
    this.#wrong = 0;
    this.#since = Date.now();
    this.#clear();
    this.#keepAlive();
    if (whole) for (const e of missed) this.#put(e);
    this.#set.up(w);
  }

  #keepAlive() {
    this.#later(pingEvery, () => {
      this.request('ping').catch(() => {});
      this.#keepAlive();
    });
    this.#later(deadAfter, () => { if (Date.now() - this.#heard >= deadAfter) this.#lost(new IntercomError('ERR_INTERNET_LOST', 'The hub was silent for 20 s.')); });
  }

  /**
   * @param {IntercomError} why
   * @param {number} [wait] until it is tried again; as usual when left out
   */
  #lost(why, wait) {
    if (!this.#active) return;
    const healthy = this.#up && Date.now() - this.#since > 60 * second;
    this.#drop(4000);
    if (healthy) this.#tries = 0;
    wait ??= this.#tries++ ? Math.random() * Math.min(15, 2 ** (this.#tries - 2)) * second : Math.random() * second;
    this.#wrong = why.code === 'ERR_INVALID_CREDENTIALS' ? this.#wrong + 1 : 0;
    if (this.#wrong) wait = Math.min(this.#wrong, 5) * 60 * second;
    if (why.retry_after_ms) wait = Math.min(why.retry_after_ms, mostRetryAfter);
    this.#later(wait, () => this.#dial());
    this.#set.down(why);
  }

  /** @param {number} code */
  #drop(code) {
    this.#clear();
    this.#up = false;
    const ws = this.#ws;
    this.#ws = undefined;
    ws?.close(code);
  }

  /** @param {IntercomError} err */
  #forget(err) {
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const one of asked) one.fail(err);
  }

  /**
   * @param {number} ms
   * @param {() => void} f
   */
  #later(ms, f) {
    const stop = after(ms, () => {
      this.#timers.delete(stop);
      f();
    });
    this.#timers.add(stop);
  }

  #clear() {
    for (const stop of this.#timers) stop();
    this.#timers.clear();
  }
}

/** @param {number} code */
function reason(code) {
  switch (code) {
    case 4401: return new IntercomError('ERR_INVALID_CREDENTIALS');
    case 4409: case 4410: return new IntercomError('ERR_ALREADY_SIGNEDIN');
    case 4413: return new IntercomError('ERR_TOO_LARGE');
    case 4429: return new IntercomError('ERR_RATE_LIMITED');
    case 1012: case 1013: return new IntercomError('ERR_HUB_DEGRADED');
  }
  return new IntercomError('ERR_INTERNET_LOST');
}
