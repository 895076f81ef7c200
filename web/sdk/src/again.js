// Loading that does not give up at once. When an address or an interface of its machine comes or goes, Chromium aborts
// the requests that wait (ERR_NETWORK_CHANGED); in the first seconds after a machine has started, that is usual. This file
// is read before the browser is checked (intercom.js).

/**
 * again loads something, and tries again while that fails. What the last try said is thrown.
 * @template T
 * @param {() => Promise<T>} load
 * @param {{longest?: number, transient?: (err: any) => boolean}} [options] longest is how long, in milliseconds; transient
 * tells whether another try can help: a request that failed is a TypeError
 * @returns {Promise<T>}
 */
export function again(load, { longest = 20000, transient = (err) => err instanceof TypeError } = {}) {
  const end = Date.now() + longest;
  /** @param {number} wait @returns {Promise<T>} */
  const round = (wait) => load().catch((err) => {
    if (!transient(err) || Date.now() + wait > end) throw err;
    return new Promise((ok) => { setTimeout(ok, wait); }).then(() => round(Math.min(2 * wait, 2000)));
  });
  return round(100);
}
