/** Emitter tells those who listen. One who throws does not keep the others from hearing. */
export class Emitter {
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #all = new Map();

  /**
   * on listens to an event; calling what it gives ends that.
   * @param {string} event
   * @param {(detail: any) => void} f
   */
  on(event, f) {
    const set = this.#all.get(event) ?? new Set();
    this.#all.set(event, set.add(f));
    return () => void set.delete(f);
  }

  /**
   * @param {string} event
   * @param {unknown} [detail]
   */
  emit(event, detail) {
    for (const f of [...(this.#all.get(event) ?? [])]) {
      try {
        f(detail);
      } catch (err) {
        queueMicrotask(() => { throw err; }); // for the page's own error handling
      }
    }
  }
}
