// The Direct Call contract: initDirectCall and what it gives.

import { checkCUID, checkName, checkRingtone, checkSecret } from './check.js';
import { connect } from './client.js';
import { IntercomError } from './errors.js';

/**
 * @typedef {{
 *   accountId: string, apikey: string, cuid: string, clevertap: any, name?: string, ringtone?: string, url?: string, screens?: boolean | object,
 * }} DirectCallOptions url and screens are ours: the hub's address, the page's own origin when left out, and false for screens of one's own
 */

/**
 * initDirectCall signs in. It rejects with {code, message} whenever it does not.
 * @param {DirectCallOptions} options
 * @returns {Promise<DirectCallClient>}
 */
export async function initDirectCall(options) {
  const { accountId, apikey, cuid, clevertap, name, ringtone, url, screens } = options ?? {};
  if (!clevertap || !['object', 'function'].includes(typeof clevertap)) throw new IntercomError('ERR_CLEVERTAP_DETAILS_NOT_FOUND');
  if (clevertap.getAccountID && !clevertap.getAccountID()) throw new IntercomError('ERR_MISSING_CT_ACCOUNTID');
  if (clevertap.getCleverTapID && !clevertap.getCleverTapID()) throw new IntercomError('ERR_MISSING_CT_ID');
  checkSecret('accountId', accountId);
  checkSecret('apikey', apikey);
  checkCUID(cuid);
  checkName(name);
  checkRingtone(ringtone);
  return new DirectCallClient(await connect({ account: accountId, apikey, cuid, clevertap, name, ringtone, url, screens }));
}

/** DirectCallClient is a device that is signed in. */
export class DirectCallClient {
  #client;

  /** @param {import('./client.js').Client} client */
  constructor(client) { this.#client = client; }

  /** isEnabled tells whether calls can be made now. */
  isEnabled() { return this.#client.isEnabled(); }

  /**
   * call calls somebody, and shows it. It resolves with "over" when the call was answered and has ended; it rejects with
   * "declined", "missed" or "cancelled", or with {code, message}.
   * @param {string} receiver
   * @param {string} context
   * @param {{receiver_image?: string, initiator_image?: string}} [options]
   * @returns {Promise<'over'>}
   */
  async call(receiver, context, options) {
    const { status, reason, error } = await this.#client.call(receiver, context, options ?? {}).result;
    if (status === 'over') return status;
    if (error) throw error;
    if (status === 'failed') throw new IntercomError(reason === 'network_lost' ? 'ERR_INTERNET_LOST' : 'ERR_INTERNAL');
    throw status;
  }

  /** hangup ends the call that there is, if any. */
  hangup() { this.#client.current?.hangup(); }

  /** logout signs out; initDirectCall signs in again. */
  logout() { return this.#client.logout(); }
}
