// One call, from the first word to its outcome.

import { after } from './clock.js';
import { Emitter } from './emitter.js';
import { IntercomError } from './errors.js';
import { Media } from './media.js';

/**
 * @typedef {'calling' | 'ringing' | 'connecting' | 'talking' | 'reconnecting' | 'ended'} State
 * @typedef {{
 *   call: string, status: 'over' | 'declined' | 'missed' | 'cancelled' | 'failed', reason: string, by: string, from: string, to: string, context: string,
 *   invited_at: string | null, ringing_at: string | null, answered_at: string | null, ended_at: string | null, duration_ms: number, error?: IntercomError,
 * }} Outcome the same on both sides and in the hub's records; error says more where there is a code for it
 * @typedef {{cuid: string, name?: string, image?: string}} Peer
 * @typedef {{from: string, result: 'opened' | 'refused', reason?: 'not_allowed' | 'locked' | 'no_door' | 'not_connected' | 'not_in_call' | 'too_often'}} DoorAnswer of
 * the station from; reason is why it refused
 * @typedef {import('./link.js').Envelope} Envelope
 * @typedef {import('./media.js').Quality} Quality
 * @typedef {{
 *   cuid: string, link: import('./link.js').Link, devices: import('./devices.js').Devices, tones: import('./tones.js').Tones, ringtone?: string, relay?: boolean,
 *   servers: () => RTCIceServer[], up: () => boolean, over: (call: Call, outcome: Outcome) => void, owe: (end: {call: string, b: object}) => void,
 * }} House what a call needs of its client
 */

const second = 1000;
const goodbye = 2 * second; // until an end that the hub does not confirm counts
const awayLimit = 4 * second; // the hub's, while nobody has answered
const doorLimit = 10 * second; // until a station says what became of its door
const mediaLimit = 10 * second; // until the voices are there
const brokenLimit = 20 * second; // until broken ones are back
const callerFirst = 0.3 * second; // that the callee leaves a restart to the caller
const restartTime = 3 * second; // for a restart to help; it doubles with each, up to
const restartMost = 8 * second;
const mostMoves = 20; // to another who rings, or to another place of one
const linkPatience = second; // for the hub to answer while nothing is heard
const offerPatience = 0.3 * second; // and when the other side has restarted the path

/** Call is one call. Events: state, quality, warning ({name, on}), blocked (a click is wanted before anything is heard), device,
 * capabilities ({door}: what may be done at the other side), door (a DoorAnswer). */
export class Call extends Emitter {
  /** @type {State} */
  state;
  muted = false;
  /** whether the other side has a door that may be opened from here */
  door = false;
  /** @type {Quality | undefined} of the last second */
  quality;
  /** @type {number} when the voices were there, by Date.now(); 0 before */
  since = 0;
  /** @type {number} when a metered call ends, by Date.now(); 0 for no limit */
  until = 0;

  /** @type {IntercomError | undefined} what went wrong here */
  error;
  /** @type {Outcome | undefined} once it has ended */
  outcome;

  #house;
  #sent = false; // the invite
  #rung = Infinity; // number of our offer
  #offer = ''; // of the other side
  #moves = 0;
  /** @type {Media | undefined} */
  #media;
  /** @type {MediaStreamTrack | undefined} */
  #mic;
  #ticket = '';
  #answered = '';
  #invited = new Date().toISOString();
  /** @type {RTCIceServer[] | undefined} */
  #servers;
  /** @type {Map<string, () => void>} timers by name */
  #timers = new Map();
  /** @type {(o: Outcome) => void} */
  #finish = () => {};
  #unfollow;

  /**
   * @param {House} house
   * @param {{id: string, direction: 'out' | 'in', peer: Peer, context: string, to?: string | string[], servers?: RTCIceServer[]}} o
   */
  constructor(house, o) {
    super();
    this.#house = house;
    this.id = o.id;
    this.direction = o.direction;
    this.peer = o.peer;
    this.context = o.context;
    this.state = o.direction === 'out' ? 'calling' : 'ringing';
    this.#servers = o.servers;
    /** @type {Promise<Outcome>} resolves once, however the call ends */
    this.result = new Promise((ok) => { this.#finish = ok; });
    this.#unfollow = [
      house.devices.on('choice', (kind) => this.#chosen(kind)),
      house.devices.on('change', () => { if (this.#mic?.readyState === 'ended') this.#reopen(); }),
    ];
  }

  /**
   * dial places the call. Only the client calls it.
   * @param {object} invite
   */
  async dial(invite) {
    let b;
    try {
      this.#mic = this.#follow(await this.#house.devices.microphone());
      if (this.state === 'ended') return this.#release();
      this.#house.tones.stop();
      this.#sent = true;
      b = await this.#house.link.request('call.invite', this.id, invite);
    } catch (err) {
      const why = /** @type {IntercomError} */ (err);
      return this.#end('failed', why.code === 'ERR_MIC_UNAVAILABLE' ? 'media_failed' : why.code === 'ERR_INTERNET_LOST' ? 'network_lost' : 'internal', why);
    }
    this.#in('result', b.caller_ms ?? 35 * second, () => this.#cancel('ring_timeout'));
  }

  /** ring makes the path of the voices ready for an answer. Only the client calls it. */
  async ring() {
    this.#house.tones.play('ring', { sink: this.#house.devices.chosen('ringer'), url: this.#house.ringtone });
    try {
      const media = this.#path('');
      this.#rung = this.#house.link.send('call.ringing', this.id, { sdp: await media.offer() });
    } catch {
      this.#decline('declined');
    }
  }

  /** answer takes a call that comes in. Without a microphone it is declined, and both sides know why. */
  async answer() {
    if (this.direction !== 'in' || this.state !== 'ringing') return;
    this.#house.tones.stop();
    this.#become('connecting');
    try {
      this.#mic = this.#follow(await this.#house.devices.microphone());
    } catch (err) {
      this.#decline('mic_unavailable', /** @type {IntercomError} */ (err));
      return;
    }
    if (/** @type {State} */ (this.state) === 'ended') return this.#release();
    this.#house.link.request('call.answer', this.id).catch((err) => { if (err.code === 'ERR_NOT_PARTY') this.#end('cancelled', 'cancelled', err); });
  }

  /** decline refuses a call that comes in. */
  decline() {
    if (this.direction === 'in' && !this.#answered && this.state !== 'ended') this.#decline('declined');
  }

  /** cancel gives up a call of ours that nobody has answered. */
  cancel() {
    if (this.direction === 'out' && !this.#answered && this.state !== 'ended') this.#cancel('cancelled');
  }

  /** hangup ends the call in whatever state it is. */
  hangup() {
    if (this.#answered) this.#hangUp('hangup');
    else if (this.direction === 'out') this.cancel();
    else this.decline();
  }

  /** mute closes our microphone, or opens it again. */
  mute(on = true) {
    this.muted = on;
    if (this.#mic) this.#mic.enabled = !on;
    this.emit('muted', on);
  }

  /** play tries again to be heard, after a click. */
  play() { this.#media?.play(); }

  /**
   * openDoor asks the other side to open its door, and gives what became of that; so does the event door. The account's
   * rules and the other side's own list decide; door tells whether they will allow it.
   * @returns {Promise<DoorAnswer>}
   */
  async openDoor() {
    if (!this.#answered || this.state === 'ended') throw new IntercomError('ERR_NOT_ALLOWED', 'The door can be opened in an answered call only.');
    const answer = new Promise((/** @type {(a: DoorAnswer) => void} */ ok, fail) => {
      const off = this.on('door', (a) => { done(); ok(a); });
      const stop = after(doorLimit, () => { done(); fail(new IntercomError('ERR_INTERNET_LOST', 'The station did not answer; look at the door.')); });
      const done = () => { off(); stop(); };
      this.result.then(() => { done(); fail(new IntercomError('ERR_NOT_PARTY', 'The call ended before the station answered; look at the door.')); });
    });
    answer.catch(() => {}); // when the request is refused, that is what is told
    await this.#house.link.request('call.door', this.id, {});
    return answer;
  }

  /** ref is how a sign-in names the call. */
  get ref() { return { call: this.id, ticket: this.#ticket || undefined }; }

  /** answered tells whether somebody has. */
  get answered() { return this.#answered !== ''; }

  /**
   * take is a message about this call. Only the client calls it.
   * @param {Envelope} e
   */
  async take(e) {
    const b = e.b ?? {};
    switch (e.t) {
      case 'call.servers':
        this.#servers = b.ice_servers;
        return this.#media?.serve(b.ice_servers);
      case 'call.ringing': return this.#ringing(b);
      case 'call.sdp': return this.#described(b, e.ack ?? 0);
      case 'call.ice': return this.#media?.candidate(b.candidate ?? '');
      case 'call.answered': return this.#voices(b);
      case 'call.warning':
        this.#house.tones.play('limit');
        this.emit('warning', { name: 'limit', on: true, left_ms: b.left_ms });
        return;
      case 'call.capabilities':
        this.door = Boolean(b.door);
        this.emit('capabilities', { door: this.door });
        return;
      case 'call.door': // a page has none
        this.#house.link.request('call.door_done', this.id, { result: 'refused', reason: 'no_door' }).catch(() => {});
        return;
      case 'call.door_done': return this.emit('door', b);
      case 'call.ended': return this.#over({ ...b, error: b.error && IntercomError.of(b.error) });
    }
  }

  /** away is told when the hub is, and back when it is again. */
  away() {
    if (!this.#answered) this.#in('away', awayLimit, () => this.#end('failed', 'network_lost', new IntercomError('ERR_INTERNET_LOST')));
  }

  back() {
    this.#no('away');
    // A link that had to be made anew while nothing came: the network is another.
    if (this.#answered && (this.state === 'reconnecting' || this.#media?.silent)) this.#restart(1);
  }

  /** leave is for a page that goes away. */
  leave() {
    if (this.#answered) this.#house.link.send('call.hangup', this.id, { reason: 'shutdown' });
    else if (this.direction === 'out') this.#house.link.send('call.cancel', this.id, { reason: 'cancelled' });
    this.#end(this.#answered ? 'over' : 'cancelled', this.#answered ? 'shutdown' : 'cancelled');
  }

  /** drop forgets the call without a word: another page has it. */
  drop() { this.#over({ ...this.#outcome('cancelled', 'cancelled'), reason: 'elsewhere' }); }

  /** @param {any} b */
  async #ringing({ sdp, from }) {
    if (this.#answered || this.state === 'ended' || sdp === this.#offer) return;
    if (this.#moves++ > mostMoves) return;
    this.#offer = sdp;
    if (this.state === 'calling') {
      this.#house.tones.play('ringback', { sink: this.#house.devices.chosen('speaker') });
      this.#become('ringing');
    }
    this.#media?.close();
    const media = this.#path(from ?? this.peer.cuid);
    try {
      const answer = await media.take(sdp, '', true);
      this.#house.link.send('call.sdp', this.id, { ...answer, to: from });
    } catch (err) {
      console.warn('intercom: the other side\'s description', err);
    }
  }

  /**
   * @param {any} b
   * @param {number} ack what the hub had heard of us when it said so
   */
  async #described({ sdp, answers }, ack) {
    if (!this.#answered && ack < this.#rung) return; // a reply to another page of ours
    try {
      const answer = await this.#media?.take(sdp, answers, this.direction === 'out');
      if (!answer) return;
      this.#house.link.send('call.sdp', this.id, answer);
      if (!this.#answered) return;
      this.#house.link.now(offerPatience); // what broke the other side's path may have broken our link
      if (this.state === 'reconnecting') this.#restartIn(2);
    } catch (err) {
      console.warn('intercom: the other side\'s description', err);
    }
  }

  /** @param {any} b */
  async #voices({ peer, ticket, limit_ms }) {
    if (this.#answered) return; // it is told again in a new session
    this.#house.tones.stop();
    this.#answered = new Date().toISOString();
    this.#ticket = ticket;
    this.peer = { ...this.peer, cuid: peer };
    this.#no('result');
    this.#no('away');
    if (limit_ms) {
      this.until = Date.now() + limit_ms;
      this.#in('limit', limit_ms + second, () => this.#hangUp('max_duration'));
    }
    this.#in('media', mediaLimit, () => this.#hangUp('media_failed'));
    const media = this.#media;
    if (!media) return; // the limit above says so
    if (media.connected) this.#connected();
    else this.#become('connecting');
    await media.open(this.#mic ?? null);
  }

  #connected() {
    this.#no('media');
    this.#no('broken');
    this.#no('restart');
    this.since ||= Date.now();
    this.#become('talking');
  }

  /** @param {string} from */
  #path(from) {
    const to = from || undefined;
    const media = new Media({
      servers: this.#servers ?? this.#house.servers(),
      relay: this.#house.relay,
      speaker: this.#house.devices.chosen('speaker'),
      candidate: (candidate) => this.#house.link.send('call.ice', this.id, { candidate, to: this.#answered ? undefined : to }),
      state: (s) => { if (media === this.#media && this.#answered) this.#moved(s); },
      quality: (q) => {
        this.quality = q;
        this.emit('quality', q);
      },
      warning: (name, on) => this.emit('warning', { name, on }),
      blocked: () => this.emit('blocked', true),
      silent: (seconds) => this.#house.link.now(seconds > 1 ? undefined : linkPatience), // some never say anything
    });
    this.#media = media;
    return media;
  }

  /** @param {'connecting' | 'connected' | 'broken' | 'failed'} s */
  #moved(s) {
    if (s === 'connected') this.#connected();
    if ((s !== 'broken' && s !== 'failed') || this.state === 'ended') return;
    if (this.state !== 'reconnecting') {
      this.#become('reconnecting');
      this.#in('broken', brokenLimit, () => this.#hangUp('lost'));
      // Nobody knows why. The caller begins; the callee does when that does not help, so that their offers seldom cross.
      if (this.direction === 'out') this.#restart(1);
      else this.#in('restart', callerFirst, () => this.#restart(1));
    }
  }

  /**
   * restart offers a restart of the media path, and again if it does not help. While the hub is away it waits for it.
   * @param {number} tries
   */
  async #restart(tries) {
    if (!this.#house.up() || this.state === 'ended') return;
    this.#restartIn(tries);
    this.#house.link.request('call.servers', this.id).catch(() => {}); // for the next try: another hub may have the call now
    const offer = await this.#media?.restart().catch(() => undefined);
    if (offer) this.#house.link.send('call.sdp', this.id, offer);
  }

  /**
   * restartIn waits until a restart has had its time.
   * @param {number} tries
   */
  #restartIn(tries) {
    this.#in('restart', Math.min(restartTime * 2 ** (tries - 1), restartMost), () => { if (this.state === 'reconnecting') this.#restart(tries + 1); });
  }

  /** @param {string} reason */
  #cancel(reason) {
    if (this.#sent) this.#close('call.cancel', reason, 'cancelled');
    else this.#end('cancelled', reason);
  }

  /**
   * @param {string} reason
   * @param {IntercomError} [error]
   */
  #decline(reason, error) {
    this.error = error;
    this.#close('call.decline', reason, 'declined');
  }

  /** @param {string} reason */
  #hangUp(reason) {
    const status = reason === 'media_failed' ? 'failed' : 'over';
    if (this.#house.up()) return this.#close('call.hangup', reason, status);
    this.#house.owe({ call: this.id, b: { reason, ticket: this.#ticket, ended_at: new Date().toISOString() } });
    this.#end(status, reason);
  }

  /**
   * close tells the hub of an end, which confirms it with the outcome, or not.
   * @param {string} t
   * @param {string} reason
   * @param {Outcome['status']} status
   */
  #close(t, reason, status) {
    this.#house.tones.stop();
    const end = () => this.#end(status, reason);
    this.#house.link.request(t, this.id, { reason }).catch((err) => { if (err.code === 'ERR_NOT_PARTY') end(); });
    this.#in('end', goodbye, end);
  }

  /**
   * @param {Outcome['status']} status
   * @param {string} reason
   * @param {IntercomError} [error]
   */
  #end(status, reason, error) { this.#over({ ...this.#outcome(status, reason), error }); }

  /**
   * @param {Outcome['status']} status
   * @param {string} reason
   * @returns {Outcome}
   */
  #outcome(status, reason) {
    const now = new Date();
    const [from, to] = this.direction === 'out' ? [this.#house.cuid, this.peer.cuid] : [this.peer.cuid, this.#house.cuid];
    return { call: this.id, status, reason, by: this.#house.cuid, from, to, context: this.context, invited_at: this.#invited, ringing_at: null,
      answered_at: this.#answered || null, ended_at: now.toISOString(), duration_ms: this.#answered ? now.getTime() - Date.parse(this.#answered) : 0 };
  }

  /** @param {Outcome} o */
  #over(o) {
    if (this.state === 'ended') return;
    for (const stop of this.#timers.values()) stop();
    this.#timers.clear();
    for (const off of this.#unfollow) off();
    this.#media?.close();
    this.#release();
    this.#house.tones.stop();
    const tone = this.direction === 'out' && /** @type {Record<string, string>} */ ({ 'declined/declined': 'declined', 'declined/busy': 'busy', 'missed/no_answer': 'missed', 'missed/offline': 'offline' })[`${o.status}/${o.reason}`];
    if (tone) this.#house.tones.play(tone, { sink: this.#house.devices.chosen('speaker') });
    this.outcome = { ...o, error: o.error ?? this.error };
    this.#become('ended');
    this.#house.over(this, this.outcome);
    this.#finish(this.outcome);
  }

  #release() {
    this.#mic?.stop();
    this.#mic = undefined;
  }

  /** @param {MediaStreamTrack} track */
  #follow(track) {
    track.enabled = !this.muted;
    track.onended = () => {
      this.emit('device', { kind: 'microphone', lost: true });
      this.#reopen();
    };
    return track;
  }

  /** @param {string} kind */
  #chosen(kind) {
    if (kind === 'speaker') this.#media?.setSpeaker(this.#house.devices.chosen('speaker'));
    if (kind === 'ringer') this.#house.tones.setSink(this.#house.devices.chosen('ringer'));
    if (kind === 'microphone' && this.#mic) this.#reopen();
  }

  /** reopen takes the microphone that is to be used now. One that cannot be had is tried again when the devices change. */
  async #reopen() {
    try {
      const track = this.#follow(await this.#house.devices.microphone());
      this.#mic?.stop();
      this.#mic = track;
      if (this.state === 'ended') return this.#release();
      if (this.#answered) await this.#media?.microphone(track);
      this.emit('device', { kind: 'microphone', lost: false, label: track.label });
    } catch (err) {
      this.emit('device', { kind: 'microphone', lost: true, error: err });
    }
  }

  /** @param {State} s */
  #become(s) {
    if (this.state === s) return;
    this.state = s;
    this.emit('state', s);
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} f
   */
  #in(name, ms, f) {
    this.#no(name);
    this.#timers.set(name, after(ms, f));
  }

  /** @param {string} name */
  #no(name) {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }
}
