/**
 * show has a client's calls shown, until it signs out.
 * @param {Client} client
 * @param {ScreenOptions} [options]
 */
export function show(client: Client, options?: ScreenOptions): Screens;
/** Screens is the element. */
export class Screens extends HTMLElement {
    /** @type {Record<string, HTMLElement>} */
    parts: Record<string, HTMLElement>;
    box: HTMLElement;
    /**
     * follow shows a client's calls from now on.
     * @param {Client} client
     * @param {ScreenOptions} options
     */
    follow(client: Client, options: ScreenOptions): void;
    disconnectedCallback(): void;
    #private;
}
export type Client = import("./client.js").Client;
export type Call = import("./call.js").Call;
/**
 * texts: in place of the English ones; parent: where the
 * screens are, the page's body when left out; dir: of the text, the page's own when left out
 */
export type ScreenOptions = {
    texts?: Partial<typeof english>;
    parent?: HTMLElement;
    dir?: "ltr" | "rtl";
};
import { texts as english } from './texts.js';
