/** @type {Record<string, [text: string, retryable: boolean]>} */
export const codes: Record<string, [text: string, retryable: boolean]>;
/** An error as the hub's: a code, a sentence that says what to do, and whether trying again can help. */
export class IntercomError extends Error {
    /** signedOut is for what is asked of a client after its logout. */
    static signedOut(): IntercomError;
    /**
     * of makes one of what the hub sent.
     * @param {any} body
     */
    static of(body: any): IntercomError;
    /**
     * @param {string} code
     * @param {string} [message] the code's own text when left out
     * @param {{field?: string, retryable?: boolean, retry_after_ms?: number}} [more]
     */
    constructor(code: string, message?: string, more?: {
        field?: string;
        retryable?: boolean;
        retry_after_ms?: number;
    });
    code: string;
    field: string | undefined;
    retryable: boolean;
    retry_after_ms: number | undefined;
}
