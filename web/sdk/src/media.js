// The voice: one RTCPeerConnection of a call, and how well it goes.

import { after } from './clock.js';

/**
 * @typedef {{
 *   round_trip_ms: number, jitter_ms: number, loss: number, level: number, concealed: number, mos: number,
 *   route: '' | 'direct' | 'relay',
 * }} Quality loss and concealed as shares from 0 to 1 of the last second; level of what is heard from 0 to 1; mos from 1 to
 * 4.4 by the E-model (ITU-T G.107), which is an estimate
 */

const second = 1000;

/** When something is worth a warning: as soon as it is so for three seconds, until it is not for three. */
const limits = {
  /** @param {Quality} q */ loss: (q) => q.loss > 0.05,
  /** @param {Quality} q */ round_trip: (q) => q.round_trip_ms > 400,
  /** @param {Quality} q */ jitter: (q) => q.jitter_ms > 60,
  /** @param {Quality} q */ mos: (q) => q.mos < 3.1,
};
const patience = 3;

/** Media is the path of one call to one peer. */
export class Media {
  #pc;
  #audio = new Audio();
  #playing = false; // what comes is to be heard
  /** @type {RTCRtpSender | undefined} */
  #sender;
  /** @type {MediaStreamTrack | null} */
  #mic = null;
  /** @type {RTCIceCandidateInit[]} of the other side, that came before the description they belong to */
  #early = [];
  #ignored = ''; // the other side's offer that yielded to ours
  /** @type {Promise<unknown>} what is done with descriptions, one after the other */
  #doing = Promise.resolve();
  #closed = false;
  /** @type {(() => void) | undefined} */
  #tick;
  #before = { received: 0, lost: 0, samples: 0, concealed: 0 };
  #silent = 0; // seconds without a packet, or an answer to what we ask over the path
  #answers = { asked: 0, given: 0 }; // of ICE, when the latest came
  /** @type {Record<string, number>} seconds that something was so; negative: was not */
  #bad = {};
  /** @type {Set<string>} */
  #warned = new Set();

  /**
   * @param {{
   *   servers: RTCIceServer[], relay?: boolean, speaker?: string,
   *   candidate: (c: string) => void,
   *   state: (s: 'connecting' | 'connected' | 'broken' | 'failed') => void,
   *   quality: (q: Quality) => void, warning: (name: string, on: boolean) => void, blocked: () => void, silent: (seconds: number) => void,
   * }} o silent: nothing has come for a second, or got through, and every five from then on
   */
  constructor(o) {
    this.o = o;
    this.#pc = new RTCPeerConnection({ iceServers: o.servers, iceTransportPolicy: o.relay ? 'relay' : 'all', bundlePolicy: 'max-bundle' });
    this.#pc.onicecandidate = ({ candidate }) => o.candidate(candidate?.candidate ?? '');
    this.#pc.ontrack = ({ track, receiver }) => {
      if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0; // as little as the network allows
      this.#audio.srcObject = new MediaStream([track]);
      if (this.#playing) this.play(); // a new source ends what was asked for before
    };
    this.#pc.onconnectionstatechange = () => {
      const s = this.#pc.connectionState;
      if (this.#closed) return;
      o.state(s === 'connected' ? 'connected' : s === 'failed' ? 'failed' : s === 'disconnected' ? 'broken' : 'connecting');
    };
    this.#audio.autoplay = false;
    this.setSpeaker(o.speaker ?? '');
  }

  /** offer describes our side; nothing is recorded for it. */
  offer() {
    return this.#do(async () => {
      this.#sender = this.#pc.addTransceiver('audio', { direction: 'sendrecv' }).sender;
      await this.#pc.setLocalDescription();
      return this.#local();
    });
  }

  /**
   * take takes the other side's description, and gives our answer if it is an offer. When two offers cross, the polite
   * side's yields: that of the caller.
   * @param {string} sdp
   * @param {string} answers the user name of the offer that an answer is about, where the other side says it
   * @param {boolean} polite
   */
  take(sdp, answers, polite) {
    return this.#do(async () => {
      const offered = this.#pc.signalingState === 'have-local-offer';
      // A later offer leaves it to the other side who is active in DTLS (RFC 8842, section 5.2); an answer does not.
      if (this.#pc.currentRemoteDescription ? !sdp.includes('a=setup:actpass') : offered) {
        if (!offered || (answers && answers !== fragment(this.#local()))) return undefined; // it came late, or twice
        this.#ignored = '';
        await this.#remote({ type: 'answer', sdp });
        return undefined;
      }
      if (offered && !polite) {
        this.#ignored = sdp;
        this.#early = [];
        return undefined;
      }
      return this.#answer(sdp);
    });
  }

  /** @param {string} sdp */
  async #answer(sdp) {
    this.#ignored = '';
    await this.#remote({ type: 'offer', sdp }); // takes an offer of ours back
    const [t] = this.#pc.getTransceivers();
    if (!t) throw new Error('the other side has no voice');
    t.direction = 'sendrecv';
    this.#sender = t.sender;
    await this.#sender.replaceTrack(this.#mic); // who answered at once was faster than we are
    await this.#pc.setLocalDescription();
    return { sdp: this.#local(), answers: fragment(sdp) };
  }

  /**
   * restart looks for a new way between the two (ICE restart, RFC 8445, section 9), and gives our description. An offer that
   * yielded to one of ours which nobody answered is answered instead: the other side does not know how to yield.
   * @returns {Promise<{sdp: string, answers?: string}>}
   */
  restart() {
    return this.#do(async () => {
      if (this.#ignored) return this.#answer(this.#ignored);
      await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart: true }));
      return { sdp: this.#local() };
    });
  }

  /**
   * serve tells the servers to look for a way with, from the next restart on.
   * @param {RTCIceServer[]} servers
   */
  serve(servers) { this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers: servers }); }

  /**
   * @template T
   * @param {() => Promise<T>} f
   */
  #do(f) {
    const done = this.#doing.then(f);
    this.#doing = done.catch(() => {});
    return done;
  }

  #local() { return this.#pc.localDescription?.sdp ?? ''; }

  /** @param {RTCSessionDescriptionInit} d */
  async #remote(d) {
    await this.#pc.setRemoteDescription(d);
    for (const c of this.#early.splice(0)) await this.#pc.addIceCandidate(c).catch(() => {});
  }

  /**
   * candidate is one of the other side's; an empty one ends them.
   * @param {string} candidate
   */
  candidate(candidate) {
    const c = { candidate, sdpMLineIndex: 0 };
    this.#do(async () => {
      if (!this.#pc.remoteDescription || this.#pc.signalingState === 'have-local-offer') this.#early.push(c);
      else await this.#pc.addIceCandidate(c);
    }).catch(() => {}); // of a kind that this browser does not know
  }

  get connected() { return this.#pc.connectionState === 'connected'; }

  /** silent tells whether nothing has come for a second, or got through to the other side. */
  get silent() { return this.#silent > 0; }

  /**
   * open lets the voices through: the other's to the loudspeaker, ours from the microphone.
   * @param {MediaStreamTrack | null} mic
   */
  async open(mic) {
    this.#watch();
    this.play();
    await this.microphone(mic);
  }

  /** play begins to be heard; a browser that wants a click first says so. */
  play() {
    this.#playing = true;
    this.#audio.play().catch((err) => { if (err.name === 'NotAllowedError' && !this.#closed) this.o.blocked(); });
  }

  /** @param {MediaStreamTrack | null} track */
  async microphone(track) {
    this.#mic = track;
    await this.#sender?.replaceTrack(track);
  }

  /** @param {string} id of a device; empty for the usual one */
  setSpeaker(id) {
    // @ts-ignore: not in every browser
    if (this.#audio.setSinkId) this.#audio.setSinkId(id).catch(() => this.#audio.setSinkId('').catch(() => {}));
  }

  close() {
    this.#closed = true;
    this.#tick?.();
    this.#audio.pause();
    this.#audio.srcObject = null;
    this.#pc.close();
  }

  #watch() {
    this.#tick = after(second, async () => {
      if (this.#closed) return;
      const q = await this.#measure().catch(() => undefined);
      if (this.#closed) return;
      if (q) {
        this.o.quality(q);
        for (const [name, is] of Object.entries(limits)) this.#judge(name, is(q));
        this.#judge('no_media', this.#silent > 0);
        if (this.#silent % 5 === 1) this.o.silent(this.#silent);
      }
      this.#watch();
    });
  }

  /**
   * @param {string} name
   * @param {boolean} bad
   */
  #judge(name, bad) {
    const n = this.#bad[name] ?? 0;
    this.#bad[name] = bad ? Math.max(n, 0) + 1 : Math.min(n, 0) - 1;
    const on = this.#warned.has(name);
    if (!on && this.#bad[name] >= patience) {
      this.#warned.add(name);
      this.o.warning(name, true);
    } else if (on && this.#bad[name] <= -patience) {
      this.#warned.delete(name);
      this.o.warning(name, false);
    }
  }

  /** @returns {Promise<Quality>} */
  async #measure() {
    const all = [...(await this.#pc.getStats()).values()];
    const inbound = all.find((s) => s.type === 'inbound-rtp' && s.kind === 'audio') ?? {};
    const pair = all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded') ?? {};
    const ours = all.find((s) => s.id === pair.localCandidateId);
    const theirs = all.find((s) => s.id === pair.remoteCandidateId);
    const far = all.find((s) => s.type === 'remote-inbound-rtp');
    const now = { received: inbound.packetsReceived ?? 0, lost: inbound.packetsLost ?? 0, samples: inbound.totalSamplesReceived ?? 0,
      concealed: (inbound.concealedSamples ?? 0) - (inbound.silentConcealedSamples ?? 0) };
    const was = this.#before;
    this.#before = now;
    const received = now.received - was.received;
    const lost = Math.max(0, now.lost - was.lost);
    const loss = received + lost ? lost / (received + lost) : 0;
    if (pair.responsesReceived !== this.#answers.given) this.#answers = { asked: pair.requestsSent ?? 0, given: pair.responsesReceived };
    const unanswered = (pair.requestsSent ?? 0) - this.#answers.asked;
    this.#silent = received && unanswered < 2 ? 0 : this.#silent + 1;
    const samples = now.samples - was.samples;
    const rtt = (pair.currentRoundTripTime ?? far?.roundTripTime ?? 0) * second;
    const jitter = (inbound.jitter ?? 0) * second;
    const far_loss = far?.fractionLost ?? 0;
    return {
      round_trip_ms: Math.round(rtt), jitter_ms: Math.round(jitter), loss, level: inbound.audioLevel ?? 0,
      concealed: samples > 0 ? Math.max(0, now.concealed - was.concealed) / samples : 0,
      mos: mos(rtt / 2 + 2 * jitter + 40, Math.max(loss, far_loss)),
      route: !ours ? '' : ours.candidateType === 'relay' || theirs?.candidateType === 'relay' ? 'relay' : 'direct',
    };
  }
}

/**
 * fragment is the user name of a description: it tells one restart from another.
 * @param {string} sdp
 */
const fragment = (sdp) => /a=ice-ufrag:(\S+)/.exec(sdp)?.[1] ?? '';

/**
 * mos is what people would say of a call, by the E-model: ITU-T G.107, with the impairment of lost packets of a wideband
 * codec that conceals (Bpl 20).
 * @param {number} delay from mouth to ear, in milliseconds
 * @param {number} loss 0 to 1
 */
export function mos(delay, loss) {
  const id = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0);
  const ie = (95 * loss * 100) / (loss * 100 + 20);
  const r = Math.max(0, Math.min(100, 93.2 - id - ie));
  return Math.round((1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6) * 100) / 100;
}
