/**
 * @typedef {{state: string, call?: {id: string, direction: 'out' | 'in', peer: import('./call.js').Peer, context: string, state: string}}} News
 */
/** Tabs chooses the leader by a lock of the browser (Web Locks), which is free again when a page goes, however it goes. */
export class Tabs {
    /**
     * @param {string} name of the device
     * @param {{lead: () => void, follow: () => void, heard: (n: News) => void, asked: () => void}} on lead and follow are
     * told when it changes; heard when the leader does something; asked when another page wants to know
     */
    constructor(name: string, on: {
        lead: () => void;
        follow: () => void;
        heard: (n: News) => void;
        asked: () => void;
    });
    leading: boolean;
    /** @type {News | undefined} what the leader does */
    news: News | undefined;
    on: {
        lead: () => void;
        follow: () => void;
        heard: (n: News) => void;
        asked: () => void;
    };
    /** @param {boolean} share false for a page that is a device of its own */
    start(share: boolean): void;
    /** take becomes the leader in place of another page. */
    take(): void;
    /**
     * tell has the others know what the leader does.
     * @param {News} news
     */
    tell(news: News): void;
    /** alone tells whether there is no other page to go on. */
    get alone(): boolean;
    close(): void;
    #private;
}
export type News = {
    state: string;
    call?: {
        id: string;
        direction: "out" | "in";
        peer: import("./call.js").Peer;
        context: string;
        state: string;
    };
};
