/**
 * connect signs a device in. It resolves when it is, and not before; else it rejects with an IntercomError. Once signed in,
 * the client comes back by itself for ever.
 * @param {Options} options
 * @returns {Promise<Client>}
 */
export function connect(options: Options): Promise<Client>;
/**
 * checkOptions says what is wrong with options before anything is done with them, and gives them as they are used.
 * @param {Options} o
 */
export function checkOptions(o: Options): {
    url: string;
    name: string | undefined;
    account?: string;
    apikey?: string;
    token?: string | (() => string | Promise<string>);
    cuid: string;
    ringtone?: string;
    clevertap?: Analytics;
    screens?: boolean | object;
    tabs?: boolean;
    relay?: boolean;
};
/**
 * Client is a device. Events: state, incoming (a Call), call (any Call that begins), elsewhere (what another page of this
 * device does, or undefined), ring_blocked (true until a click lets it ring).
 */
export class Client extends Emitter {
    /** @param {Options & {url: string}} set */
    constructor(set: Options & {
        url: string;
    });
    /** @type {State} */
    state: State;
    /** @type {IntercomError | undefined} why it is not registered */
    trouble: IntercomError | undefined;
    /** @type {Call | undefined} the one that there is */
    current: Call | undefined;
    /** @type {Promise<void>} the first sign-in */
    ready: Promise<void>;
    devices: Devices;
    cuid: string;
    name: string | undefined;
    /**
     * call calls somebody: a cuid, the name of a group, or a list of cuids. What is wrong with it is thrown at once; how it
     * ends is the call's result.
     * @param {string | string[]} to
     * @param {string} context why, shown to the one called
     * @param {CallOptions} [options]
     */
    call(to: string | string[], context: string, options?: CallOptions): Call;
    /** answerHere takes the call that rings in another page of this device. */
    answerHere(): void;
    /** watch has the event presence told: all devices that may be seen, and then what changes. It ends with the sign-in. */
    watch(): void;
    /**
     * identify has a station blink and sound. It is for operators.
     * @param {string} cuid
     */
    identify(cuid: string): Promise<any>;
    /**
     * openDoor asks a station to open its door outside a call, and gives what became of that. It is for operators, where the
     * account's rules and the station's own list door.remote let them.
     * @param {string} cuid
     * @returns {Promise<import('./call.js').DoorAnswer>}
     */
    openDoor(cuid: string): Promise<import("./call.js").DoorAnswer>;
    /** isEnabled tells whether calls can be made now. */
    isEnabled(): boolean;
    /** logout signs out for good. connect again to come back. */
    logout(): Promise<void>;
    #private;
}
export type Outcome = import("./call.js").Outcome;
export type State = "connecting" | "registered" | "reconnecting" | "signed_out";
/**
 * url: the hub's address, the page's own origin when left out. account: needless with a token, which names it. token: one, or a function that gets one whenever it is needed; needless with
 * an apikey, which is no secret any more in a page. ringtone: address of a sound. clevertap: told of calls. screens: false for screens of one's own.
 * relay: true lets voices go by the hub's relay only, so that the other side does not learn this one's address.
 * tabs: false lets each page be a device of its own
 */
export type Options = {
    url?: string;
    account?: string;
    apikey?: string;
    token?: string | (() => string | Promise<string>);
    cuid: string;
    name?: string;
    ringtone?: string;
    clevertap?: Analytics;
    screens?: boolean | object;
    tabs?: boolean;
    relay?: boolean;
};
/**
 * receiver_name and receiver_image are shown to the caller, initiator_image to the one called
 */
export type CallOptions = {
    receiver_name?: string;
    receiver_image?: string;
    initiator_image?: string;
    mode?: "parallel" | "sequence";
    each_ms?: number;
    max_duration_ms?: number;
};
export type Analytics = {
    event?: {
        push: (name: string, properties: object) => void;
    };
};
import { Emitter } from './emitter.js';
import { IntercomError } from './errors.js';
import { Call } from './call.js';
import { Devices } from './devices.js';
