// Timers that also keep their time while the page is hidden.

/** @type {Worker | null | undefined} undefined until it is asked for, null where there can be none */
let worker;
/** @type {Map<number, {ms: number, f: () => void}>} */
const waiting = new Map();
let last = 0;
let failures = 0;

/** @param {number} id */
function due(id) {
  const one = waiting.get(id);
  waiting.delete(id);
  one?.f();
}

function begin() {
  try {
    worker = new Worker(new URL('./clock-worker.js', import.meta.url));
    worker.onmessage = ({ data }) => due(data);
    worker.onerror = () => { // its script may not be loaded here
      worker = null;
      for (const [id, { ms }] of waiting) setTimeout(due, ms, id);
      // It may also have been a request that the network lost.
      if (++failures < 5) setTimeout(() => { worker = undefined; }, 1000);
    };
  } catch {
    worker = null;
  }
}

/**
 * after calls f in ms milliseconds, unless what it gives is called before.
 * @param {number} ms
 * @param {() => void} f
 */
export function after(ms, f) {
  if (worker === undefined) begin();
  const id = ++last;
  waiting.set(id, { ms, f });
  if (worker) worker.postMessage({ id, ms });
  else setTimeout(due, ms, id);
  return () => {
    waiting.delete(id);
    worker?.postMessage({ id });
  };
}
