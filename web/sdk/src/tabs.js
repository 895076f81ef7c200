// Several pages of one user in one browser are one device: one of them, the leader, is signed in and rings; the others
// show what it does, and take over when it goes away, or when somebody answers or calls there.

/**
 * @typedef {{state: string, call?: {id: string, direction: 'out' | 'in', peer: import('./call.js').Peer, context: string, state: string}}} News
 */

/** Tabs chooses the leader by a lock of the browser (Web Locks), which is free again when a page goes, however it goes. */
export class Tabs {
  #name;
  /** @type {BroadcastChannel | undefined} */
  #channel;
  /** @type {(() => void) | undefined} gives the lock back */
  #release;
  #closed = false;
  leading = false;
  /** @type {Set<string>} the other pages that the leader knows of */
  #others = new Set();
  #id = Math.random().toString(36).slice(2);
  /** @type {News | undefined} what the leader does */
  news;

  /**
   * @param {string} name of the device
   * @param {{lead: () => void, follow: () => void, heard: (n: News) => void, asked: () => void}} on lead and follow are
   * told when it changes; heard when the leader does something; asked when another page wants to know
   */
  constructor(name, on) {
    this.#name = `intercom ${name}`;
    this.on = on;
  }

  /** @param {boolean} share false for a page that is a device of its own */
  start(share) {
    if (!share || !navigator.locks || !globalThis.BroadcastChannel) {
      this.leading = true;
      this.on.lead();
      return;
    }
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (data.page) {
        if (data.gone) this.#others.delete(data.page);
        else this.#others.add(data.page);
        if (this.leading && !data.gone) this.on.asked();
        return;
      }
      if (this.leading) return;
      this.news = data;
      this.on.heard(data);
    };
    this.#wait();
    this.#channel.postMessage({ page: this.#id });
  }

  /** take becomes the leader in place of another page. */
  take() { if (!this.leading && !this.#closed) this.#wait({ steal: true }); }

  /** @param {LockOptions} [how] */
  #wait(how = {}) {
    navigator.locks.request(this.#name, how, () => new Promise((/** @type {(v: void) => void} */ release) => {
      if (this.#closed) return release();
      this.#release = release;
      this.leading = true;
      this.on.lead();
    })).catch(() => { // another page took it
      if (this.#closed) return;
      this.leading = false;
      this.on.follow();
      this.#wait();
    });
  }

  /**
   * tell has the others know what the leader does.
   * @param {News} news
   */
  tell(news) { if (this.leading) this.#channel?.postMessage(news); }

  /** alone tells whether there is no other page to go on. */
  get alone() { return this.#others.size === 0; }

  close() {
    if (this.#closed) return;
    this.#channel?.postMessage({ page: this.#id, gone: true });
    this.#closed = true;
    this.leading = false;
    this.#release?.();
    this.#channel?.close();
  }
}
