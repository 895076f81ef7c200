// What is heard beside the voice: made by code, so that nothing need be loaded.

/** @typedef {[hz: number, ms: number, decay?: boolean][]} Score */

/** The same sounds as a station's (audio/tone). @type {Record<string, {score: Score, loop?: boolean}>} */
const scores = {
  ring: { score: [[659.3, 600, true], [523.3, 1000, true], [0, 1400]], loop: true },
  ringback: { score: [[425, 1000], [0, 4000]], loop: true }, // ITU-T E.180
  declined: { score: [[480, 250], [0, 120], [480, 250]] },
  busy: { score: [[425, 300], [0, 300], [425, 300], [0, 300], [425, 300]] },
  missed: { score: [[523.3, 250], [0, 60], [392, 250], [0, 60], [329.6, 400]] },
  offline: { score: [[950, 330], [1400, 330], [1800, 330]] }, // the special information tone, ITU-T E.180
  limit: { score: [[1400, 120], [0, 120], [1400, 120]] },
};

const rate = 16000;

/** @param {Score} score */
function samples(score) {
  /** @type {number[]} */
  const out = [];
  for (const [hz, ms, decay] of score) {
    const n = Math.round((rate * ms) / 1000);
    const edge = rate / 200; // 5 ms in and out, or it would click
    for (let i = 0; i < n; i++) {
      const gain = decay ? Math.exp((-3 * i) / n) : 1;
      out.push(hz ? 0.3 * gain * Math.min(1, i / edge, (n - i) / edge) * Math.sin((2 * Math.PI * hz * i) / rate) : 0);
    }
  }
  return out;
}

/**
 * wav is a file of a score: RIFF, one channel, 16 bit.
 * @param {Score} score
 */
export function wav(score) {
  const x = samples(score);
  const v = new DataView(new ArrayBuffer(44 + 2 * x.length));
  const tag = (/** @type {number} */ at, /** @type {string} */ s) => [...s].forEach((c, i) => v.setUint8(at + i, c.charCodeAt(0)));
  tag(0, 'RIFF'), v.setUint32(4, 36 + 2 * x.length, true), tag(8, 'WAVEfmt '), v.setUint32(16, 16, true), v.setUint16(20, 1, true), v.setUint16(22, 1, true);
  v.setUint32(24, rate, true), v.setUint32(28, 2 * rate, true), v.setUint16(32, 2, true), v.setUint16(34, 16, true), tag(36, 'data'), v.setUint32(40, 2 * x.length, true);
  x.forEach((s, i) => v.setInt16(44 + 2 * i, s * 32767, true));
  return v.buffer;
}

/** Tones plays one sound at a time. */
export class Tones {
  /** @type {Map<string, string>} addresses, by name */
  #made = new Map();
  /** @type {HTMLAudioElement | undefined} */
  #now;
  /** @type {(() => void) | undefined} */
  #retry;

  /** @param {(on: boolean) => void} blocked is told when the browser wants a click first, and when it had it */
  constructor(blocked) {
    this.blocked = blocked;
    this.unlock = () => { this.#retry?.(); };
    for (const e of ['pointerdown', 'keydown']) addEventListener(e, this.unlock, true);
  }

  /**
   * play plays a sound in place of the one that plays.
   * @param {string} name
   * @param {{sink?: string, url?: string}} [o] url is a sound of the page's own, in place of ours
   */
  play(name, { sink = '', url } = {}) {
    this.stop();
    const { score, loop = false } = scores[name];
    const audio = new Audio();
    this.#now = audio;
    audio.loop = loop;
    const own = () => {
      const made = this.#made.get(name) ?? URL.createObjectURL(new Blob([wav(score)], { type: 'audio/wav' }));
      this.#made.set(name, made);
      return made;
    };
    audio.src = url ?? own();
    audio.onerror = () => { // one that cannot be had is no reason not to ring
      if (url && audio === this.#now) {
        audio.onerror = null;
        audio.src = own();
        start();
      }
    };
    const start = () => audio.play().then(() => {
      if (this.#retry && audio === this.#now) this.blocked(false);
      if (audio === this.#now) this.#retry = undefined;
    }, (err) => {
      if (err.name !== 'NotAllowedError' || audio !== this.#now || this.#retry) return;
      this.#retry = start;
      this.blocked(true);
    });
    // @ts-ignore: not in every browser
    if (sink && audio.setSinkId) audio.setSinkId(sink).catch(() => {}).then(start);
    else start();
  }

  /** @param {string} sink for what plays now */
  setSink(sink) {
    // @ts-ignore: not in every browser
    this.#now?.setSinkId?.(sink).catch(() => {});
  }

  stop() {
    this.#now?.pause();
    this.#now = undefined;
    if (this.#retry) this.blocked(false);
    this.#retry = undefined;
  }

  close() {
    this.stop();
    for (const e of ['pointerdown', 'keydown']) removeEventListener(e, this.unlock, true);
    for (const url of this.#made.values()) URL.revokeObjectURL(url);
  }
}
