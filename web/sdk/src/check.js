// The contract's rules for what a program passes in: the same as the hub's, by the same table of cases.

import { IntercomError } from './errors.js';

/**
 * text says what is wrong with a text for people, or nothing.
 * @param {string} s
 * @param {number} least
 * @param {number} most
 */
function text(s, least, most) {
  // Cf has the bidirectional overrides, with which a name could rewrite the screen around it; U+200D joins emoji.
  if (/[\p{Cc}\p{Cf}\u2028\u2029\p{Cs}]/u.test(s.replaceAll('\u200d', ''))) return 'must not contain control characters';
  const n = [...s].length;
  return n < least || n > most ? `must have ${least} to ${most} characters` : '';
}

/**
 * @param {string} code
 * @param {string} field
 * @param {string} message
 */
const wrong = (code, field, message) => new IntercomError(code, message, { field });

const invalid = 'ERR_INVALID_INITPARAMETERS';
const missing = 'ERR_MISSING_INITPARAMETERS';
const badCall = 'ERR_INVALID_CALL_PARAMETERS';

/** @param {unknown} s */
function cuidProblem(s) {
  if (typeof s !== 'string') return 'must be a string';
  if (s.length < 5 || s.length > 50) return 'must have 5 to 50 characters';
  if (/[^A-Za-z0-9_]/.test(s)) return 'may have only the letters A–Z and a–z, digits and underscores';
  if (!/[A-Za-z0-9]/.test(s)) return 'must have at least one letter or digit';
  if (/^\d+(_\d+)+$/.test(s)) return 'must not be numbers joined by underscores';
  return '';
}

/** @param {unknown} s */
export function checkCUID(s) {
  if (s === undefined || s === null || s === '') throw wrong(missing, 'cuid', 'The cuid is missing; name this device, for example front_door_01.');
  const why = cuidProblem(s);
  if (why) throw wrong(invalid, 'cuid', `The cuid ${why}; write it like front_door_01.`);
}

/**
 * checkName allows none. It gives the name as it is used.
 * @param {unknown} s
 */
export function checkName(s) {
  if (s === undefined || s === null) return undefined;
  const why = typeof s === 'string' ? text(s.trim(), 3, 50) : 'must be a string';
  if (why) throw wrong(invalid, 'name', `The name ${why}, for example Front door.`);
  return /** @type {string} */ (s).trim();
}

/**
 * checkSecret is for the account, the key and the token.
 * @param {string} field
 * @param {unknown} s
 * @param {number} [most]
 */
export function checkSecret(field, s, most = 128) {
  if (s === undefined || s === null || s === '') throw wrong(missing, field, `${field} is missing; the sign-in needs it.`);
  if (typeof s !== 'string' || s.length > most || /[^\x21-\x7e]/.test(s)) throw wrong(invalid, field, `${field} must be a string of at most ${most} characters without spaces.`);
}

/** @param {unknown} s */
export function checkContext(s) {
  if (typeof s !== 'string' || !s.trim()) throw wrong(badCall, 'context', 'The context is missing; say why you call, for example Delivery.');
  const why = text(s, 1, 64);
  if (why) throw wrong(badCall, 'context', `The context ${why}, for example Delivery.`);
}

/**
 * @param {unknown} to a cuid, the name of a group, or a list of cuids
 * @param {string} self
 */
export function checkReceivers(to, self) {
  const all = Array.isArray(to) ? to : [to];
  if (!all.length || all.length > 16) throw wrong(badCall, 'to', 'Name one receiver, or a list of at most 16.');
  for (const [i, one] of all.entries()) {
    if (one === undefined || one === null || one === '') throw wrong(badCall, 'to', 'The receiver is missing; name the cuid to call, for example reception.');
    if (cuidProblem(one)) throw wrong(badCall, 'to', 'The receiver is not a cuid; it must be a string of 5 to 50 letters, digits and underscores, for example reception.');
    if (one === self) throw wrong(badCall, 'to', 'A device cannot call itself; name another cuid.');
    if (all.indexOf(one) !== i) throw wrong(badCall, 'to', `The receiver ${one} is named twice.`);
  }
}

/**
 * checkImage allows none, or a whole http or https URL of at most 2,048 bytes.
 * @param {string} field
 * @param {unknown} s
 */
export function checkImage(field, s) {
  if (s === undefined || s === null || s === '') return;
  if (!isURL(s, /^https?:$/)) throw wrong(badCall, field, 'The image must be a whole http or https URL, for example https://example.org/door.png.');
}

/**
 * checkRingtone allows none, or an address of a sound; one without a host is of the page's own.
 * @param {unknown} s
 */
export function checkRingtone(s) {
  if (s === undefined || s === null || s === '') return;
  let whole = s;
  try {
    whole = new URL(/** @type {string} */ (s), globalThis.location?.href).href;
  } catch { /* it is told below */ }
  if (typeof s !== 'string' || !isURL(whole, /^https?:$/)) throw wrong(invalid, 'ringtone', 'The ringtone must be an http or https URL of a sound.');
}

/**
 * hubURL completes the hub's address: the page's own origin when left out, wss for https, and the path.
 * @param {unknown} s
 */
export function hubURL(s) {
  const whole = s ?? globalThis.location?.origin;
  let u;
  try {
    u = new URL(/** @type {string} */ (whole));
  } catch { /* the message below says so */ }
  if (typeof whole !== 'string' || !u?.host || !/^(https?|wss?):$/.test(u.protocol)) {
    const bare = typeof s === 'string' && /^[\w-]+(\.[\w-]+)*(:\d+)?(\/\S*)?$/.test(s); // a host without a scheme
    throw wrong(invalid, 'url', bare ? `The url has no scheme; write https://${s}.` : "The url must be the hub's address, for example https://hub.example.org.");
  }
  u.protocol = u.protocol.replace('http', 'ws');
  if (u.pathname === '/') u.pathname = '/v1/ws';
  u.hash = ''; // a WebSocket's address has none
  return u.href;
}

/**
 * @param {unknown} s
 * @param {RegExp} scheme
 */
function isURL(s, scheme) {
  if (typeof s !== 'string' || s.length > 2048 || /\s/.test(s)) return false;
  try {
    const u = new URL(s);
    return scheme.test(u.protocol) && u.host !== '';
  } catch {
    return false;
  }
}

/**
 * checkNumber allows none, 0 for none, or a whole number within limits.
 * @param {string} field
 * @param {unknown} v
 * @param {number} least
 * @param {number} most
 */
export function checkNumber(field, v, least, most) {
  if (v === undefined || v === null || v === 0) return;
  if (!Number.isInteger(v) || /** @type {number} */ (v) < least || /** @type {number} */ (v) > most) throw wrong(badCall, field, `${field} must be a whole number of milliseconds from ${least} to ${most}.`);
}

/**
 * checkScreens allows none, true or false, or the options of the screens.
 * @param {unknown} s
 */
export function checkScreens(s) {
  if (s === undefined || s === null || typeof s === 'boolean') return;
  if (typeof s !== 'object') throw wrong(invalid, 'screens', 'screens must be true, false, or an object with texts, parent or dir.');
  const { texts, parent, dir } = /** @type {Record<string, unknown>} */ (s);
  checkOption(invalid, 'texts', texts, 'object');
  if (parent !== undefined && parent !== null && !(parent instanceof HTMLElement)) throw wrong(invalid, 'parent', 'parent must be an element of the page.');
  if (dir !== undefined && dir !== null && dir !== 'ltr' && dir !== 'rtl') throw wrong(invalid, 'dir', 'dir must be ltr or rtl.');
}

/**
 * checkAnalytics allows none, or an analytics instance.
 * @param {unknown} s
 */
export function checkAnalytics(s) {
  if (s !== undefined && s !== null && typeof s !== 'object' && typeof s !== 'function') throw wrong(invalid, 'clevertap', 'clevertap must be an analytics instance.');
}

/**
 * checkOption refuses a value that is there and of the wrong type.
 * @param {string} code
 * @param {string} field
 * @param {unknown} v
 * @param {string} type
 */
export function checkOption(code, field, v, type) {
  if (v !== undefined && v !== null && typeof v !== type) throw wrong(code, field, `${field} must be a ${type}.`);
}
