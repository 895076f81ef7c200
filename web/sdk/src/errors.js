// The errors of the contract, and ours. Codes never change their meaning; docs/errors.md has the same table. This file is
// read before the browser is checked (intercom.js).

/** @type {Record<string, [text: string, retryable: boolean]>} */
export const codes = {
  ERR_MISSING_INITPARAMETERS: ['A required setting is missing; add it and start again.', false],
  ERR_INVALID_INITPARAMETERS: ['A setting is not valid; correct it and start again.', false],
  ERR_MISSING_CT_ACCOUNTID: ['The analytics instance has no account; start it before signing in.', false],
  ERR_MISSING_CT_ID: ['The analytics instance has no id; start it before signing in.', false],
  ERR_INVALID_CREDENTIALS: ['The account or the key is wrong; ask the operator of the hub for a new key.', false],
  ERR_ALREADY_SIGNEDIN: ['This cuid is connected on another device; give each device a cuid of its own.', true],
  ERR_MIC_UNAVAILABLE: ['No microphone; allow this page to use one, and check that one is connected.', true],
  ERR_OUTGOING_CALL_IN_PROGRESS: ['A call is already in progress; end it first.', true],
  ERR_INVALID_CALL_PARAMETERS: ['The receiver or the context is missing or not valid; correct it and call again.', false],
  ERR_INTERNET_LOST: ['The hub cannot be reached; check the network.', true],
  404: ['The receiver is offline.', true], // also known as ERR_RECEIVER_OFFLINE
  ERR_CLEVERTAP_DETAILS_NOT_FOUND: ['initDirectCall needs an analytics instance as clevertap; pass one, or use connect.', false],
  ERR_USER_BUSY: ['The receiver is in another call; try again later.', true],
  ERR_CONNECTION_NOT_ESTABLISHED: ['Not signed in yet; wait for the sign-in and try again.', true],
  ERR_RATE_LIMITED: ['Too many requests; wait and try again.', true],
  ERR_TOO_LARGE: ['The message is too large.', false],
  ERR_BAD_MESSAGE: ['The message is not understood.', false],
  ERR_NOT_PARTY: ['There is no such call; it has ended.', false],
  ERR_NOT_ALLOWED: ['This may not be done; ask the operator of the hub.', false],
  ERR_IDENTITY: ['The other side could not prove who it is.', false],
  ERR_HUB_DEGRADED: ['The hub cannot do this just now; try again shortly.', true],
  ERR_CONFLICT: ['The other side is calling at this moment; answer its call.', true],
  ERR_VERSION: ['The hub and this page speak different protocol versions; load the page again.', false],
  ERR_INTERNAL: ['Something went wrong inside.', true],
};

/** An error as the hub's: a code, a sentence that says what to do, and whether trying again can help. */
export class IntercomError extends Error {
  /**
   * @param {string} code
   * @param {string} [message] the code's own text when left out
   * @param {{field?: string, retryable?: boolean, retry_after_ms?: number}} [more]
   */
  constructor(code, message, more = {}) {
    const [text, retryable] = codes[code] || [codes.ERR_INTERNAL[0], true];
    super(message || text);
    this.name = 'IntercomError';
    this.code = code;
    this.field = more.field;
    this.retryable = more.retryable === undefined ? retryable : more.retryable;
    this.retry_after_ms = more.retry_after_ms;
  }

  /** signedOut is for what is asked of a client after its logout. */
  static signedOut() {
    return new IntercomError('ERR_CONNECTION_NOT_ESTABLISHED', 'This client has signed out; sign in again with initDirectCall or connect.', { retryable: false });
  }

  /**
   * of makes one of what the hub sent.
   * @param {any} body
   */
  static of(body) {
    const b = body || {};
    return new IntercomError(b.code || 'ERR_INTERNAL', b.message, b);
  }
}
