/** Call is one call. Events: state, quality, warning ({name, on}), blocked (a click is wanted before anything is heard), device,
 * capabilities ({door}: what may be done at the other side), door (a DoorAnswer). */
export class Call extends Emitter {
    /**
     * @param {House} house
     * @param {{id: string, direction: 'out' | 'in', peer: Peer, context: string, to?: string | string[], servers?: RTCIceServer[]}} o
     */
    constructor(house: House, o: {
        id: string;
        direction: "out" | "in";
        peer: Peer;
        context: string;
        to?: string | string[];
        servers?: RTCIceServer[];
    });
    /** @type {State} */
    state: State;
    muted: boolean;
    /** whether the other side has a door that may be opened from here */
    door: boolean;
    /** @type {Quality | undefined} of the last second */
    quality: Quality | undefined;
    /** @type {number} when the voices were there, by Date.now(); 0 before */
    since: number;
    /** @type {number} when a metered call ends, by Date.now(); 0 for no limit */
    until: number;
    /** @type {IntercomError | undefined} what went wrong here */
    error: IntercomError | undefined;
    /** @type {Outcome | undefined} once it has ended */
    outcome: Outcome | undefined;
    id: string;
    direction: "out" | "in";
    peer: Peer;
    context: string;
    /** @type {Promise<Outcome>} resolves once, however the call ends */
    result: Promise<Outcome>;
    /**
     * dial places the call. Only the client calls it.
     * @param {object} invite
     */
    dial(invite: object): Promise<void>;
    /** ring makes the path of the voices ready for an answer. Only the client calls it. */
    ring(): Promise<void>;
    /** answer takes a call that comes in. Without a microphone it is declined, and both sides know why. */
    answer(): Promise<void>;
    /** decline refuses a call that comes in. */
    decline(): void;
    /** cancel gives up a call of ours that nobody has answered. */
    cancel(): void;
    /** hangup ends the call in whatever state it is. */
    hangup(): void;
    /** mute closes our microphone, or opens it again. */
    mute(on?: boolean): void;
    /** play tries again to be heard, after a click. */
    play(): void;
    /**
     * openDoor asks the other side to open its door, and gives what became of that; so does the event door. The account's
     * rules and the other side's own list decide; door tells whether they will allow it.
     * @returns {Promise<DoorAnswer>}
     */
    openDoor(): Promise<DoorAnswer>;
    /** ref is how a sign-in names the call. */
    get ref(): {
        call: string;
        ticket: string | undefined;
    };
    /** answered tells whether somebody has. */
    get answered(): boolean;
    /**
     * take is a message about this call. Only the client calls it.
     * @param {Envelope} e
     */
    take(e: Envelope): Promise<void>;
    /** away is told when the hub is, and back when it is again. */
    away(): void;
    back(): void;
    /** leave is for a page that goes away. */
    leave(): void;
    /** drop forgets the call without a word: another page has it. */
    drop(): void;
    #private;
}
export type State = "calling" | "ringing" | "connecting" | "talking" | "reconnecting" | "ended";
/**
 * the same on both sides and in the hub's records; error says more where there is a code for it
 */
export type Outcome = {
    call: string;
    status: "over" | "declined" | "missed" | "cancelled" | "failed";
    reason: string;
    by: string;
    from: string;
    to: string;
    context: string;
    invited_at: string | null;
    ringing_at: string | null;
    answered_at: string | null;
    ended_at: string | null;
    duration_ms: number;
    error?: IntercomError;
};
export type Peer = {
    cuid: string;
    name?: string;
    image?: string;
};
/**
 * of
 * the station from; reason is why it refused
 */
export type DoorAnswer = {
    from: string;
    result: "opened" | "refused";
    reason?: "not_allowed" | "locked" | "no_door" | "not_connected" | "not_in_call" | "too_often";
};
export type Envelope = import("./link.js").Envelope;
export type Quality = import("./media.js").Quality;
/**
 * what a call needs of its client
 */
export type House = {
    cuid: string;
    link: import("./link.js").Link;
    devices: import("./devices.js").Devices;
    tones: import("./tones.js").Tones;
    ringtone?: string;
    relay?: boolean;
    servers: () => RTCIceServer[];
    up: () => boolean;
    over: (call: Call, outcome: Outcome) => void;
    owe: (end: {
        call: string;
        b: object;
    }) => void;
};
import { Emitter } from './emitter.js';
import { IntercomError } from './errors.js';
