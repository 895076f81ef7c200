// The Direct Call contract: initDirectCall. What it gives is in direct-client.js.

import { checkCUID, checkSecret } from './check.js';
import { checkOptions, connect } from './client.js';
import { DirectCallClient } from './direct-client.js';
import { IntercomError } from './errors.js';

export { connect };

/**
 * @typedef {{
 *   accountId: string, apikey: string, cuid: string, clevertap: any, name?: string, ringtone?: string, url?: string, screens?: boolean | object,
 * }} DirectCallOptions url and screens are ours: the hub's address, the page's own origin when left out, and false for screens of one's own
 */

/** How long the ids of an analytics instance that is starting are waited for. */
const analyticsTime = 5000;

/**
 * initDirectCall signs in. It rejects with {code, message} whenever it does not.
 * @param {DirectCallOptions} options
 * @returns {Promise<DirectCallClient>}
 */
export async function initDirectCall(options) {
  const { accountId, apikey, cuid, clevertap, name, ringtone, url, screens } = options ?? {};
  if (!clevertap || !['object', 'function'].includes(typeof clevertap)) throw new IntercomError('ERR_CLEVERTAP_DETAILS_NOT_FOUND');
  checkSecret('accountId', accountId);
  checkSecret('apikey', apikey);
  checkCUID(cuid);
  const own = { account: accountId, apikey, cuid, clevertap, name, ringtone, url, screens };
  checkOptions(own);
  await identified(clevertap);
  return new DirectCallClient(await connect(own));
}

/**
 * identified waits until an analytics instance has its account and its id, as far as it can tell them.
 * @param {any} clevertap
 */
async function identified(clevertap) {
  const has = (/** @type {string} */ id) => {
    try {
      return typeof clevertap[id] !== 'function' || Boolean(clevertap[id]());
    } catch {
      return false; // not started yet
    }
  };
  for (const end = Date.now() + analyticsTime; ;) {
    const account = has('getAccountID');
    if (account && has('getCleverTapID')) return;
    if (Date.now() >= end) throw new IntercomError(account ? 'ERR_MISSING_CT_ID' : 'ERR_MISSING_CT_ACCOUNTID');
    await new Promise((ok) => { setTimeout(ok, 50); });
  }
}
