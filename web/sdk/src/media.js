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
  /** @type {RTCRtpSender | undefined} */
  #sender;
  /** @type {MediaStreamTrack | null} */
  #mic = null;
  /** @type {RTCIceCandidateInit[]} of the other side, that came before the description they belong to */
  #early = [];
  #closed = false;
  /** @type {(() => void) | undefined} */
  #tick;
  #before = { received: 0, lost: 0, samples: 0, concealed: 0 };
  #silent = 0; // seconds without a packet
  /** @type {Record<string, number>} seconds that something was so; negative: was not */
  #bad = {};
  /** @type {Set<string>} */
  #warned = new Set();

  /**
   * @param {{
   *   servers: RTCIceServer[], relay?: boolean, speaker?: string,
   *   candidate: (c: string) => void,
   *   state: (s: 'connecting' | 'connected' | 'broken' | 'failed') => void,
   *   quality: (q: Quality) => void, warning: (name: string, on: boolean) => void, blocked: () => void,
   * }} o
   */
  constructor(o) {
    this.o = o;
    this.#pc = new RTCPeerConnection({ iceServers: o.servers, iceTransportPolicy: o.relay ? 'relay' : 'all', bundlePolicy: 'max-bundle' });
    this.#pc.onicecandidate = ({ candidate }) => o.candidate(candidate?.candidate ?? '');
    this.#pc.ontrack = ({ track, receiver }) => {
      if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0; // as little as the network allows
      this.#audio.srcObject = new MediaStream([track]);
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
  async offer() {
    this.#sender = this.#pc.addTransceiver('audio', { direction: 'sendrecv' }).sender;
    await this.#pc.setLocalDescription();
    return this.#local();
  }

  /**
   * answer describes our side in reply.
   * @param {string} sdp
   */
  async answer(sdp) {
    await this.#remote({ type: 'offer', sdp });
    const [t] = this.#pc.getTransceivers();
    if (!t) throw new Error('the other side has no voice');
    t.direction = 'sendrecv';
    this.#sender = t.sender;
    await this.#sender.replaceTrack(this.#mic); // who answered at once was faster than we are
    await this.#pc.setLocalDescription();
    return this.#local();
  }

  /**
   * take is what the other side replies.
   * @param {string} sdp
   */
  take(sdp) { return this.#remote({ type: 'answer', sdp }); }

  /** offering tells whether we wait for a reply. */
  get offering() { return this.#pc.signalingState === 'have-local-offer'; }

  /**
   * serve tells the servers to look for a way with, from the next restart on.
   * @param {RTCIceServer[]} servers
   */
  serve(servers) { this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers: servers }); }

  /** restart looks for a new way between the two (ICE restart, RFC 8445, section 9), and gives our description. */
  async restart() {
    this.#pc.restartIce();
    await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart: true }));
    return this.#local();
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
    if (!this.#pc.remoteDescription || this.offering) this.#early.push(c);
    else this.#pc.addIceCandidate(c).catch(() => {}); // of a kind that this browser does not know
  }

  get connected() { return this.#pc.connectionState === 'connected'; }

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
  play() { this.#audio.play().catch((err) => { if (err.name === 'NotAllowedError' && !this.#closed) this.o.blocked(); }); }

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
    this.#silent = received ? 0 : this.#silent + 1;
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
