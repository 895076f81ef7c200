// A device that is signed in at a hub, and its calls.

import { again } from './again.js';
import { Call } from './call.js';
import { checkAnalytics, checkContext, checkCUID, checkImage, checkName, checkNumber, checkOption, checkReceivers, checkRingtone, checkScreens, checkSecret, hubURL } from './check.js';
import { after } from './clock.js';
import { Devices } from './devices.js';
import { Emitter } from './emitter.js';
import { IntercomError } from './errors.js';
import { Link } from './link.js';
import { Tabs } from './tabs.js';
import { Tones } from './tones.js';

/**
 * @typedef {import('./call.js').Outcome} Outcome
 * @typedef {'connecting' | 'registered' | 'reconnecting' | 'signed_out'} State
 * @typedef {{
 *   url?: string, account?: string, apikey?: string, token?: string | (() => string | Promise<string>), cuid: string, name?: string, ringtone?: string,
 *   clevertap?: Analytics, screens?: boolean | object, tabs?: boolean, relay?: boolean,
 * }} Options url: the hub's address, the page's own origin when left out. account: needless with a token, which names it. token: one, or a function that gets one whenever it is needed; needless with
 * an apikey, which is no secret any more in a page. ringtone: address of a sound. clevertap: told of calls. screens: false for screens of one's own.
 * relay: true lets voices go by the hub's relay only, so that the other side does not learn this one's address.
 * tabs: false lets each page be a device of its own
 * @typedef {{
 *   receiver_name?: string, receiver_image?: string, initiator_image?: string, mode?: 'parallel' | 'sequence', each_ms?: number, max_duration_ms?: number,
 * }} CallOptions receiver_name and receiver_image are shown to the caller, initiator_image to the one called
 * @typedef {{event?: {push: (name: string, properties: object) => void}}} Analytics
 */

const signInLimit = 10_000;
const doorLimit = 10_000; // until a station says what became of its door

/** random is 128 bits in hexadecimal. */
const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');

/**
 * connect signs a device in. It resolves when it is, and not before; else it rejects with an IntercomError. Once signed in,
 * the client comes back by itself for ever.
 * @param {Options} options
 * @returns {Promise<Client>}
 */
export async function connect(options) {
  const set = checkOptions(options);
  const screens = set.screens === false ? undefined : again(() => import('./screens.js'));
  screens?.catch(() => {}); // or a sign-in that is refused would leave it unhandled
  const client = new Client(set);
  await client.ready;
  try {
    (await screens)?.show(client, typeof set.screens === 'object' && set.screens || {});
  } catch (err) {
    client.logout();
    throw new IntercomError('ERR_INTERNET_LOST', `The call screens could not be loaded; check the network and reload the page: ${/** @type {Error} */ (err).message}`);
  }
  return client;
}

/**
 * checkOptions says what is wrong with options before anything is done with them, and gives them as they are used.
 * @param {Options} o
 */
export function checkOptions(o) {
  if (typeof o !== 'object' || o === null) throw new IntercomError('ERR_MISSING_INITPARAMETERS', 'The options are missing.');
  const url = hubURL(o.url);
  if (o.token === undefined || o.account !== undefined) checkSecret('account', o.account);
  if (typeof o.token !== 'function' && (o.apikey === undefined || o.token !== undefined)) checkSecret(o.token === undefined ? 'apikey' : 'token', o.token, 2048);
  if (o.apikey !== undefined) checkSecret('apikey', o.apikey);
  checkCUID(o.cuid);
  checkRingtone(o.ringtone);
  checkAnalytics(o.clevertap);
  checkScreens(o.screens);
  for (const name of /** @type {const} */ (['tabs', 'relay'])) checkOption('ERR_INVALID_INITPARAMETERS', name, o[name], 'boolean');
  return { ...o, url, name: checkName(o.name) };
}

/**
 * Client is a device. Events: state, incoming (a Call), call (any Call that begins), elsewhere (what another page of this
 * device does, or undefined), ring_blocked (true until a click lets it ring).
 */
export class Client extends Emitter {
  /** @type {State} */
  state = 'connecting';
  /** @type {IntercomError | undefined} why it is not registered */
  trouble;
  /** @type {Call | undefined} the one that there is */
  current;
  /** @type {Promise<void>} the first sign-in */
  ready;
  devices = new Devices();

  #set;
  #link;
  #tabs;
  #tones;
  /** @type {RTCIceServer[]} */
  #servers = [];
  #token = ''; // the latest
  /** @type {{call: string, b: object}[]} ends that the hub has not heard of */
  #owed = [];
  /** @type {Map<string, {from: string, done: (a: import('./call.js').DoorAnswer) => void}>} doors that are to open, by id */
  #wishes = new Map();
  /** @type {(() => void) | undefined} what is to be done as the leader */
  #then;
  /** @type {{id: string, answer: boolean} | undefined} a call that another page had */
  #taken;
  #off;
  #settle = { ok: () => {}, fail: /** @type {(err: IntercomError) => void} */ (() => {}) };

  /** @param {Options & {url: string}} set */
  constructor(set) {
    super();
    this.#set = set;
    this.cuid = set.cuid;
    this.name = set.name;
    this.#tones = new Tones((on) => this.emit('ring_blocked', on));
    this.#link = new Link({
      url: set.url, account: set.account, cuid: set.cuid, name: set.name, instance: instance(set), secret: () => this.#secret(),
      calls: () => (this.current ? [this.current.ref] : this.#taken ? [{ call: this.#taken.id }] : []),
      up: (w) => this.#up(w), down: (why) => this.#down(why), receive: (e) => this.#receive(e),
    });
    this.#tabs = new Tabs(`${set.url} ${set.account} ${set.cuid}`, {
      lead: () => {
        const call = this.#tabs.news?.call;
        if (call && !this.#taken && call.direction === 'in' && call.state === 'ringing') this.#taken = { id: call.id, answer: false };
        this.emit('elsewhere', undefined);
        if (this.state === 'registered') this.#become('reconnecting');
        this.#link.start();
      },
      follow: () => {
        this.current?.drop();
        this.#link.yield();
      },
      heard: (news) => {
        if (news.state === 'registered' || news.state === 'reconnecting') this.#become(news.state);
        this.emit('elsewhere', news.call);
      },
      asked: () => this.#tell(),
    });
    this.ready = new Promise((ok, fail) => { this.#settle = { ok: () => ok(), fail }; });
    const limit = setTimeout(() => this.#settle.fail(this.trouble ?? new IntercomError('ERR_INTERNET_LOST')), signInLimit);
    const done = () => clearTimeout(limit);
    this.ready.then(done, () => {
      done();
      this.#leave();
    });
    this.#off = this.#follow();
    this.#tabs.start(set.tabs !== false);
  }

  /**
   * call calls somebody: a cuid, the name of a group, or a list of cuids. What is wrong with it is thrown at once; how it
   * ends is the call's result.
   * @param {string | string[]} to
   * @param {string} context why, shown to the one called
   * @param {CallOptions} [options]
   */
  call(to, context, options = {}) {
    if (this.state === 'signed_out') throw IntercomError.signedOut();
    if (this.state === 'connecting') throw new IntercomError('ERR_CONNECTION_NOT_ESTABLISHED');
    checkReceivers(to, this.cuid);
    checkContext(context);
    const bad = 'ERR_INVALID_CALL_PARAMETERS';
    if (typeof options !== 'object' || options === null) throw new IntercomError(bad, 'The options of a call must be an object.', { field: 'options' });
    checkOption(bad, 'receiver_name', options.receiver_name, 'string');
    checkImage('receiver_image', options.receiver_image);
    checkImage('initiator_image', options.initiator_image);
    checkNumber('each_ms', options.each_ms, 1000, 60_000);
    checkNumber('max_duration_ms', options.max_duration_ms, 1, 24 * 3600 * 1000);
    if (options.mode !== undefined && options.mode !== 'parallel' && options.mode !== 'sequence') throw new IntercomError(bad, 'mode must be parallel or sequence.', { field: 'mode' });
    if (this.current || (!this.#tabs.leading && this.#tabs.news?.call)) throw new IntercomError('ERR_OUTGOING_CALL_IN_PROGRESS');
    if (this.state !== 'registered') throw new IntercomError('ERR_INTERNET_LOST');
    const { receiver_name, receiver_image, initiator_image, mode, each_ms, max_duration_ms } = options;
    const call = this.#begin({ id: random(), direction: 'out', context, peer: { cuid: Array.isArray(to) ? to.join(',') : to, name: receiver_name, image: receiver_image || undefined } });
    const place = () => call.dial({ to, context, initiator_image: initiator_image || undefined, mode, each_ms, max_duration_ms });
    if (this.#tabs.leading) place();
    else this.#takeOver(place);
    this.#analytics('SCOutgoing', call);
    return call;
  }

  /** answerHere takes the call that rings in another page of this device. */
  answerHere() {
    const call = this.#tabs.news?.call;
    if (this.#tabs.leading || !call || call.state !== 'ringing' || call.direction !== 'in') return;
    this.#taken = { id: call.id, answer: true };
    this.#takeOver(() => {});
  }

  /** watch has the event presence told: all devices that may be seen, and then what changes. It ends with the sign-in. */
  watch() { this.#link.request('watch').catch(() => {}); }

  /**
   * identify has a station blink and sound. It is for operators.
   * @param {string} cuid
   */
  identify(cuid) { return this.#link.request('identify', undefined, { cuid }); }

  /**
   * openDoor asks a station to open its door outside a call, and gives what became of that. It is for operators, where the
   * account's rules and the station's own list door.remote let them.
   * @param {string} cuid
   * @returns {Promise<import('./call.js').DoorAnswer>}
   */
  async openDoor(cuid) {
    const id = random();
    const answer = new Promise((/** @type {(a: import('./call.js').DoorAnswer) => void} */ ok, fail) => {
      const stop = after(doorLimit, () => {
        this.#wishes.delete(id);
        fail(new IntercomError('ERR_INTERNET_LOST', 'The station did not answer; look at the door.'));
      });
      this.#wishes.set(id, { from: cuid, done: (a) => { stop(); ok(a); } });
    });
    answer.catch(() => {}); // when the request is refused, that is what is told
    try {
      await this.#link.request('door.open', undefined, { id, cuid });
    } catch (err) {
      this.#wishes.delete(id);
      throw err;
    }
    return answer;
  }

  /** isEnabled tells whether calls can be made now. */
  isEnabled() { return this.state === 'registered'; }

  /** logout signs out for good. connect again to come back. */
  async logout() {
    this.current?.leave();
    this.#leave();
  }

  /** handOver leaves a call that rings, and the sign-in, to another page. */
  #handOver() {
    if (this.current && (this.current.direction === 'out' || this.current.answered)) this.current.leave();
    this.#link.yield();
    this.#tabs.close(); // the others keep what they were told of the call
    this.current?.drop();
    this.#leave();
  }

  /** @param {() => void} then */
  #takeOver(then) {
    this.#then = then;
    this.#tabs.take();
  }

  async #secret() {
    const { apikey, token } = this.#set;
    if (token === undefined) return { apikey };
    const got = typeof token === 'function' ? await token() : token;
    checkSecret('token', got, 2048);
    this.#token = got;
    return { token: got };
  }

  /** @param {any} welcome */
  #up(welcome) {
    this.#servers = welcome.ice_servers ?? [];
    this.trouble = undefined;
    this.#become('registered');
    this.current?.back();
    for (const { call, b } of this.#owed.splice(0)) this.#link.request('call.hangup', call, b).catch(() => {});
    this.#settle.ok();
    this.#then?.();
    this.#then = undefined;
  }

  /** @param {IntercomError} why */
  #down(why) {
    this.trouble = why;
    this.current?.away();
    if (this.state === 'registered') this.#become('reconnecting');
    // The first sign-in fails at once when trying again cannot help.
    if (this.state === 'connecting' && (!why.retryable || why.code === 'ERR_ALREADY_SIGNEDIN')) this.#settle.fail(why);
    this.emit('trouble', why);
  }

  /** @param {import('./link.js').Envelope} e */
  #receive(e) {
    if (e.t === 'expiring') {
      const before = this.#token;
      this.#secret().then(({ token }) => { if (token && token !== before) return this.#link.request('renew', undefined, { token }); }).catch((err) => this.emit('trouble', err));
      return;
    }
    if (e.t === 'door.done') {
      const wish = this.#wishes.get(e.b?.id);
      if (wish?.from !== e.b?.from) return; // of another station, or too late
      this.#wishes.delete(e.b.id);
      wish?.done({ from: e.b.from, result: e.b.result, reason: e.b.reason });
      return;
    }
    if (e.t === 'presence') {
      this.emit('presence', e.b);
      return;
    }
    if (!e.call) return;
    if (e.t === 'call.incoming' && e.call !== this.current?.id) this.#incoming(e.call, e.b);
    else if (e.call === this.current?.id) this.current.take(e);
  }

  /**
   * @param {string} id
   * @param {any} b
   */
  #incoming(id, b) {
    if (this.current) {
      this.#link.request('call.decline', id, { reason: 'busy' }).catch(() => {});
      return;
    }
    const call = this.#begin({ id, direction: 'in', context: b.context, peer: { cuid: b.from, name: b.name, image: b.initiator_image }, servers: b.ice_servers });
    this.#analytics('SCIncoming', call);
    this.emit('incoming', call);
    const answer = this.#taken?.id === id && this.#taken.answer;
    this.#taken = undefined;
    call.ring();
    if (answer) call.answer();
  }

  /** @param {{id: string, direction: 'out' | 'in', peer: import('./call.js').Peer, context: string, servers?: RTCIceServer[]}} o */
  #begin(o) {
    const call = new Call({
      cuid: this.cuid, link: this.#link, devices: this.devices, tones: this.#tones, ringtone: this.#set.ringtone, relay: this.#set.relay, servers: () => this.#servers,
      up: () => this.state === 'registered', owe: (end) => this.#owed.push(end),
      over: (call, outcome) => {
        if (this.current === call) this.current = undefined;
        this.#analytics('SCEnd', call, outcome);
        this.#tell();
      },
    }, o);
    this.current = call;
    call.on('state', () => this.#tell());
    this.#tell();
    this.emit('call', call);
    return call;
  }

  #tell() {
    const c = this.current;
    this.#tabs.tell({ state: this.state, call: c && { id: c.id, direction: c.direction, peer: c.peer, context: c.context, state: c.state } });
  }

  /** @param {State} s */
  #become(s) {
    if (this.state === s || this.state === 'signed_out') return;
    const first = this.state === 'connecting' && s === 'registered';
    this.state = s;
    if (first) this.#settle.ok();
    this.#tell();
    this.emit('state', s);
  }

  #leave() {
    if (this.state === 'signed_out') return;
    this.#become('signed_out');
    this.#off();
    this.#link.stop(this.#tabs.leading);
    this.#tabs.close();
    this.#tones.close();
    this.devices.close();
  }

  /** follow notes what happens to the page: it goes, sleeps, wakes up, or has its network back. */
  #follow() {
    /** @type {[EventTarget, string, (e: any) => void][]} */
    const all = [
      [window, 'online', () => this.#link.now()],
      [document, 'visibilitychange', () => { if (!document.hidden) this.#link.now(); }],
      [document, 'freeze', () => { if (!this.current) this.#link.pause(); }], // a page that sleeps does not ring: let nobody think so
      [document, 'resume', () => this.#link.now()],
      [window, 'pagehide', ({ persisted }) => {
        if (!persisted && this.#tabs.leading && !this.#tabs.alone) return this.#handOver();
        this.current?.leave();
        if (persisted) this.#link.pause();
        else this.#leave();
      }],
      [window, 'pageshow', ({ persisted }) => { if (persisted) this.#link.now(); }],
    ];
    for (const [at, event, f] of all) at.addEventListener(event, f);
    return () => { for (const [at, event, f] of all) at.removeEventListener(event, f); };
  }

  /**
   * analytics tells the instance, if there is one, of a call.
   * @param {'SCOutgoing' | 'SCIncoming' | 'SCEnd'} event
   * @param {Call} call
   * @param {Outcome} [outcome]
   */
  #analytics(event, call, outcome) {
    try {
      this.#set.clevertap?.event?.push(event, { 'call id': call.id, cuid: call.peer.cuid, context: call.context, ...(outcome && { 'call status': outcome.status, reason: outcome.reason }) });
    } catch (err) {
      console.warn('intercom: the analytics instance', err); // it must not cost a call
    }
  }
}

/**
 * instance is the secret by which the hub knows this browser again.
 * @param {Options} set
 */
function instance(set) {
  const key = `intercom.instance.${set.account}.${set.cuid}`;
  try {
    const kept = set.tabs === false ? sessionStorage : localStorage;
    const id = kept.getItem(key) ?? random();
    kept.setItem(key, id);
    return id;
  } catch {
    return random();
  }
}
