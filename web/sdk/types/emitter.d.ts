/** Emitter tells those who listen. One who throws does not keep the others from hearing. */
export class Emitter {
    /**
     * on listens to an event; calling what it gives ends that.
     * @param {string} event
     * @param {(detail: any) => void} f
     */
    on(event: string, f: (detail: any) => void): () => undefined;
    /**
     * @param {string} event
     * @param {unknown} [detail]
     */
    emit(event: string, detail?: unknown): void;
    #private;
}
