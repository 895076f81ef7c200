/** Link keeps one session until stop. What is sent while it is signed in is said again on the next connection. */
export class Link {
    /** @param {Settings} set */
    constructor(set: Settings);
    start(): void;
    /**
     * stop leaves for good.
     * @param {boolean} [bye] says so to the hub, so that nobody waits for it to come back
     */
    stop(bye?: boolean): void;
    /** yield leaves without a word: another page goes on as this device. */
    yield(): void;
    /** pause leaves for as long as the page sleeps; now comes back. */
    pause(): void;
    /**
     * now tries at once, when there is reason to think that it works again or does not any more.
     * @param {number} [patience] that a hub has to answer, in milliseconds
     */
    now(patience?: number): void;
    /**
     * send has a message said, and gives its number; 0 when nobody is signed in.
     * @param {string} t
     * @param {string} [call]
     * @param {unknown} [b]
     */
    send(t: string, call?: string, b?: unknown): number;
    /**
     * request is send for what is answered.
     * @param {string} t
     * @param {string} [call]
     * @param {unknown} [b]
     * @returns {Promise<any>}
     */
    request(t: string, call?: string, b?: unknown): Promise<any>;
    #private;
}
export type Envelope = {
    t: string;
    id?: number;
    re?: number;
    seq?: number;
    ack?: number;
    call?: string;
    b?: any;
};
export type Settings = {
    url: string;
    account?: string;
    cuid: string;
    name?: string;
    instance: string;
    secret: () => Promise<{
        apikey?: string;
        token?: string;
    }>;
    calls: () => {
        call: string;
        ticket?: string;
    }[];
    up: (welcome: any) => void;
    down: (why: IntercomError) => void;
    receive: (e: Envelope) => void;
};
import { IntercomError } from './errors.js';
