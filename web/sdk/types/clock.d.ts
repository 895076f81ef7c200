/**
 * after calls f in ms milliseconds, unless what it gives is called before.
 * @param {number} ms
 * @param {() => void} f
 */
export function after(ms: number, f: () => void): () => void;
