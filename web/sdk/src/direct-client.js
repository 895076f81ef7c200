// What initDirectCall gives. This file is read before the browser is checked (intercom.js), so it has no private fields.

import { IntercomError } from './errors.js';

/** @type {WeakMap<DirectCallClient, import('./client.js').Client>} */
const clients = new WeakMap();

/** @param {DirectCallClient} c */
const of = (c) => /** @type {import('./client.js').Client} */ (clients.get(c));

/** DirectCallClient is a device that is signed in. */
export class DirectCallClient {
  /** @param {import('./client.js').Client} client */
  constructor(client) {
    clients.set(this, client);
    // A program may pass a method on: setTimeout(client.hangup, 20000).
    this.isEnabled = this.isEnabled.bind(this);
    this.call = this.call.bind(this);
    this.hangup = this.hangup.bind(this);
    this.cancel = this.cancel.bind(this);
    this.logout = this.logout.bind(this);
  }

  /** isEnabled tells whether calls can be made now. */
  isEnabled() { return of(this).isEnabled(); }

  /**
   * call calls somebody, and shows it. It resolves with "over" when the call was answered and has ended; it rejects with
   * "declined", "missed" or "cancelled", or with {code, message}. A receiver who is busy, or has no microphone, declines.
   * @param {string} receiver
   * @param {string} context
   * @param {{receiver_image?: string, initiator_image?: string}} [options]
   * @returns {Promise<'over'>}
   */
  async call(receiver, context, options) {
    const { status, reason, error } = await of(this).call(receiver, context, options || {}).result;
    if (status === 'over') return status;
    if (status === 'declined' && reason !== 'not_allowed') throw status;
    if (error) throw error;
    if (status === 'failed') throw new IntercomError(reason === 'network_lost' ? 'ERR_INTERNET_LOST' : 'ERR_INTERNAL');
    throw status;
  }

  /** hangup ends the call that is going on. One that nobody has answered yet is not ended: that is what cancel is for. */
  hangup() {
    const call = of(this).current;
    if (call && call.answered) call.hangup();
  }

  /** cancel gives up our own call that nobody has answered. */
  cancel() {
    const call = of(this).current;
    if (call) call.cancel();
  }

  /** logout signs out; initDirectCall signs in again. */
  logout() { return of(this).logout(); }
}
