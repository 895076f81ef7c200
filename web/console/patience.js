// What to do when the hub is busy: to ask again.

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/**
 * patiently asks until the hub is not too busy for it, after the time that it names each time, `tries` times at most.
 * waiting is told before each wait, so that people can be.
 */
export async function patiently(ask, waiting, { tries = 15, wait = sleep } = {}) {
  for (let i = 1; ; i++) {
    try {
      return await ask();
    } catch (err) {
      if (err.code !== 'ERR_RATE_LIMITED' || i >= tries) throw err;
      waiting();
      await wait((err.retry_after_ms || 2000) * (1 + Math.random())); // not all at the same moment
    }
  }
}
