/** Devices is what there is to hear and to speak with. Events: change, lost. */
export class Devices extends Emitter {
    /** list gives the devices of a kind; their labels are empty until the page may use a microphone.
     * @param {Kind} kind */
    list(kind: Kind): Promise<{
        id: string;
        label: string;
    }[]>;
    /** @param {Kind} kind */
    chosen(kind: Kind): string;
    /**
     * choose takes a device from now on, also in a call; an empty id is the usual one.
     * @param {Kind} kind
     * @param {string} id
     */
    choose(kind: Kind, id: string): void;
    /** microphone opens the chosen one, or, when it is away, the usual one. */
    microphone(): Promise<MediaStreamTrack>;
    close(): void;
    #private;
}
export type Kind = "microphone" | "speaker" | "ringer";
import { Emitter } from './emitter.js';
