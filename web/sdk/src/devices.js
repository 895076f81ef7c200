// Microphone, loudspeaker and the loudspeaker for ringing: chosen, kept for the next time, and mended when they go.

import { Emitter } from './emitter.js';
import { IntercomError } from './errors.js';

/** @typedef {'microphone' | 'speaker' | 'ringer'} Kind */

const key = 'intercom.devices';

/** Devices is what there is to hear and to speak with. Events: change, lost. */
export class Devices extends Emitter {
  /** @type {Partial<Record<Kind, string>>} */
  #chosen = {};
  #unfollow = () => {};

  constructor() {
    super();
    try {
      this.#chosen = JSON.parse(localStorage.getItem(key) ?? '{}');
    } catch { /* a page that may not keep anything */ }
    const media = navigator.mediaDevices;
    if (!media) return; // not a secure context
    const changed = () => this.emit('change');
    media.addEventListener('devicechange', changed);
    this.#unfollow = () => media.removeEventListener('devicechange', changed);
  }

  /** list gives the devices of a kind; their labels are empty until the page may use a microphone.
   * @param {Kind} kind */
  async list(kind) {
    const all = await (navigator.mediaDevices?.enumerateDevices() ?? []);
    return all.filter((d) => d.kind === (kind === 'microphone' ? 'audioinput' : 'audiooutput')).map((d) => ({ id: d.deviceId, label: d.label }));
  }

  /** @param {Kind} kind */
  chosen(kind) { return this.#chosen[kind] ?? ''; }

  /**
   * choose takes a device from now on, also in a call; an empty id is the usual one.
   * @param {Kind} kind
   * @param {string} id
   */
  choose(kind, id) {
    if (!['microphone', 'speaker', 'ringer'].includes(kind) || typeof id !== 'string') throw new IntercomError('ERR_INVALID_INITPARAMETERS', 'A device is chosen for microphone, speaker or ringer, by its id.', { field: 'kind' });
    this.#chosen[kind] = id;
    try {
      localStorage.setItem(key, JSON.stringify(this.#chosen));
    } catch { /* it is kept for this page only */ }
    this.emit('choice', kind);
  }

  /** microphone opens the chosen one, or, when it is away, the usual one. */
  async microphone() {
    const want = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    if (!navigator.mediaDevices) throw new IntercomError('ERR_MIC_UNAVAILABLE', 'A microphone needs a page that came over https, or from localhost.');
    try {
      const id = this.chosen('microphone');
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { ...want, deviceId: id ? { exact: id } : undefined } })
        .catch((err) => {
          if (!id || err.name === 'NotAllowedError') throw err;
          return navigator.mediaDevices.getUserMedia({ audio: want });
        });
      return stream.getAudioTracks()[0];
    } catch (err) {
      const denied = /** @type {Error} */ (err).name === 'NotAllowedError';
      throw new IntercomError('ERR_MIC_UNAVAILABLE', denied ? 'The microphone was denied; allow it for this page in the address bar.' : undefined);
    }
  }

  close() { this.#unfollow(); }
}
