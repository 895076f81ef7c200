// The SDK: connect is our own interface, initDirectCall the Direct Call contract. README.md shows both.
//
// The browser is checked here. This file, and those that it names, keep to what older browsers can read; the others are
// loaded when the browser can.

import { again } from './again.js';
import './browser.js';
import { DirectCallClient } from './direct-client.js';
import { codes, IntercomError } from './errors.js';

/**
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('./client.js').Options} Options
 * @typedef {import('./client.js').CallOptions} CallOptions
 * @typedef {import('./call.js').Call} Call
 * @typedef {import('./call.js').Outcome} Outcome
 * @typedef {import('./direct.js').DirectCallOptions} DirectCallOptions
 */

const page = typeof window !== 'undefined';
// @ts-ignore: browser.js sets it
if (page && window.intercomUnsupported) throw new IntercomError('ERR_VERSION', window.intercomUnsupported, { field: 'browser' });

/** @type {Promise<typeof import('./direct.js')> | undefined} */
let loading;

/** load gives the rest of the SDK, which is loaded once. One that could not be had is asked for anew when it is used. */
function load() {
  loading = loading || again(() => import('./direct.js')).catch((err) => {
    loading = undefined;
    throw new IntercomError('ERR_INTERNET_LOST', `The SDK could not be loaded whole; check the network and reload the page: ${err.message}`);
  });
  return loading;
}
if (page) load().catch(() => {}); // ahead of its use

/**
 * connect signs a device in. It resolves when it is, and not before; else it rejects with an IntercomError. Once signed in,
 * the client comes back by itself for ever.
 * @param {Options} options
 * @returns {Promise<Client>}
 */
export const connect = (options) => load().then((sdk) => sdk.connect(options));

/**
 * initDirectCall signs in. It rejects with {code, message} whenever it does not.
 * @param {DirectCallOptions} options
 * @returns {Promise<DirectCallClient>}
 */
export const initDirectCall = (options) => load().then((sdk) => sdk.initDirectCall(options));

export { codes, DirectCallClient, IntercomError };

// The names of the contract's successor.
export { initDirectCall as initSignedCall, DirectCallClient as SignedCallClient };
