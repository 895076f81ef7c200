/**
 * again loads something, and tries again while that fails. What the last try said is thrown.
 * @template T
 * @param {() => Promise<T>} load
 * @param {{longest?: number, transient?: (err: any) => boolean}} [options] longest is how long, in milliseconds; transient
 * tells whether another try can help: a request that failed is a TypeError
 * @returns {Promise<T>}
 */
export function again<T>(load: () => Promise<T>, { longest, transient }?: {
    longest?: number;
    transient?: (err: any) => boolean;
}): Promise<T>;
