/**
 * mos is what people would say of a call, by the E-model: ITU-T G.107, with the impairment of lost packets of a wideband
 * codec that conceals (Bpl 20).
 * @param {number} delay from mouth to ear, in milliseconds
 * @param {number} loss 0 to 1
 */
export function mos(delay: number, loss: number): number;
/** Media is the path of one call to one peer. */
export class Media {
    /**
     * @param {{
     *   servers: RTCIceServer[], relay?: boolean, speaker?: string,
     *   candidate: (c: string) => void,
     *   state: (s: 'connecting' | 'connected' | 'broken' | 'failed') => void,
     *   quality: (q: Quality) => void, warning: (name: string, on: boolean) => void, blocked: () => void, silent: (seconds: number) => void,
     * }} o silent: nothing has come for a second, or got through, and every five from then on
     */
    constructor(o: {
        servers: RTCIceServer[];
        relay?: boolean;
        speaker?: string;
        candidate: (c: string) => void;
        state: (s: "connecting" | "connected" | "broken" | "failed") => void;
        quality: (q: Quality) => void;
        warning: (name: string, on: boolean) => void;
        blocked: () => void;
        silent: (seconds: number) => void;
    });
    o: {
        servers: RTCIceServer[];
        relay?: boolean;
        speaker?: string;
        candidate: (c: string) => void;
        state: (s: "connecting" | "connected" | "broken" | "failed") => void;
        quality: (q: Quality) => void;
        warning: (name: string, on: boolean) => void;
        blocked: () => void;
        silent: (seconds: number) => void;
    };
    /** offer describes our side; nothing is recorded for it. */
    offer(): Promise<string>;
    /**
     * take takes the other side's description, and gives our answer if it is an offer. When two offers cross, the polite
     * side's yields: that of the caller.
     * @param {string} sdp
     * @param {string} answers the user name of the offer that an answer is about, where the other side says it
     * @param {boolean} polite
     */
    take(sdp: string, answers: string, polite: boolean): Promise<{
        sdp: string;
        answers: string;
    } | undefined>;
    /**
     * restart looks for a new way between the two (ICE restart, RFC 8445, section 9), and gives our description. An offer that
     * yielded to one of ours which nobody answered is answered instead: the other side does not know how to yield.
     * @returns {Promise<{sdp: string, answers?: string}>}
     */
    restart(): Promise<{
        sdp: string;
        answers?: string;
    }>;
    /**
     * serve tells the servers to look for a way with, from the next restart on.
     * @param {RTCIceServer[]} servers
     */
    serve(servers: RTCIceServer[]): void;
    /**
     * candidate is one of the other side's; an empty one ends them.
     * @param {string} candidate
     */
    candidate(candidate: string): void;
    get connected(): boolean;
    /** silent tells whether nothing has come for a second, or got through to the other side. */
    get silent(): boolean;
    /**
     * open lets the voices through: the other's to the loudspeaker, ours from the microphone.
     * @param {MediaStreamTrack | null} mic
     */
    open(mic: MediaStreamTrack | null): Promise<void>;
    /** play begins to be heard; a browser that wants a click first says so. */
    play(): void;
    /** @param {MediaStreamTrack | null} track */
    microphone(track: MediaStreamTrack | null): Promise<void>;
    /** @param {string} id of a device; empty for the usual one */
    setSpeaker(id: string): void;
    close(): void;
    #private;
}
/**
 * loss and concealed as shares from 0 to 1 of the last second; level of what is heard from 0 to 1; mos from 1 to
 * 4.4 by the E-model (ITU-T G.107), which is an estimate
 */
export type Quality = {
    round_trip_ms: number;
    jitter_ms: number;
    loss: number;
    level: number;
    concealed: number;
    mos: number;
    route: "" | "direct" | "relay";
};
