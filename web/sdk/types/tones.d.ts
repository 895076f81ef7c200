/**
 * wav is a file of a score: RIFF, one channel, 16 bit.
 * @param {Score} score
 */
export function wav(score: Score): ArrayBuffer;
/** Tones plays one sound at a time. */
export class Tones {
    /** @param {(on: boolean) => void} blocked is told when the browser wants a click first, and when it had it */
    constructor(blocked: (on: boolean) => void);
    blocked: (on: boolean) => void;
    unlock: () => void;
    /**
     * play plays a sound in place of the one that plays.
     * @param {string} name
     * @param {{sink?: string, url?: string}} [o] url is a sound of the page's own, in place of ours
     */
    play(name: string, { sink, url }?: {
        sink?: string;
        url?: string;
    }): void;
    /** @param {string} sink for what plays now */
    setSink(sink: string): void;
    stop(): void;
    close(): void;
    #private;
}
export type Score = [hz: number, ms: number, decay?: boolean][];
