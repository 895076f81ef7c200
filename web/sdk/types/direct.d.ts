/**
 * initDirectCall signs in. It rejects with {code, message} whenever it does not.
 * @param {DirectCallOptions} options
 * @returns {Promise<DirectCallClient>}
 */
export function initDirectCall(options: DirectCallOptions): Promise<DirectCallClient>;
export { connect };
/**
 * url and screens are ours: the hub's address, the page's own origin when left out, and false for screens of one's own
 */
export type DirectCallOptions = {
    accountId: string;
    apikey: string;
    cuid: string;
    clevertap: any;
    name?: string;
    ringtone?: string;
    url?: string;
    screens?: boolean | object;
};
import { DirectCallClient } from './direct-client.js';
import { connect } from './client.js';
