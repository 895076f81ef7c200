/** @param {unknown} s */
export function checkCUID(s: unknown): void;
/**
 * checkName allows none. It gives the name as it is used.
 * @param {unknown} s
 */
export function checkName(s: unknown): string | undefined;
/**
 * checkSecret is for the account, the key and the token.
 * @param {string} field
 * @param {unknown} s
 * @param {number} [most]
 */
export function checkSecret(field: string, s: unknown, most?: number): void;
/** @param {unknown} s */
export function checkContext(s: unknown): void;
/**
 * @param {unknown} to a cuid, the name of a group, or a list of cuids
 * @param {string} self
 */
export function checkReceivers(to: unknown, self: string): void;
/**
 * checkImage allows none, or a whole http or https URL of at most 2,048 bytes.
 * @param {string} field
 * @param {unknown} s
 */
export function checkImage(field: string, s: unknown): void;
/**
 * checkRingtone allows none, or an address of a sound; one without a host is of the page's own.
 * @param {unknown} s
 */
export function checkRingtone(s: unknown): void;
/**
 * hubURL completes the hub's address: the page's own origin when left out, wss for https, and the path.
 * @param {unknown} s
 */
export function hubURL(s: unknown): string;
/**
 * checkNumber allows none, 0 for none, or a whole number within limits.
 * @param {string} field
 * @param {unknown} v
 * @param {number} least
 * @param {number} most
 */
export function checkNumber(field: string, v: unknown, least: number, most: number): void;
/**
 * checkScreens allows none, true or false, or the options of the screens.
 * @param {unknown} s
 */
export function checkScreens(s: unknown): void;
/**
 * checkAnalytics allows none, or an analytics instance.
 * @param {unknown} s
 */
export function checkAnalytics(s: unknown): void;
/**
 * checkOption refuses a value that is there and of the wrong type.
 * @param {string} code
 * @param {string} field
 * @param {unknown} v
 * @param {string} type
 */
export function checkOption(code: string, field: string, v: unknown, type: string): void;
