/** DirectCallClient is a device that is signed in. */
export class DirectCallClient {
    /** @param {import('./client.js').Client} client */
    constructor(client: import("./client.js").Client);
    /** isEnabled tells whether calls can be made now. */
    isEnabled(): boolean;
    /**
     * call calls somebody, and shows it. It resolves with "over" when the call was answered and has ended; it rejects with
     * "declined", "missed" or "cancelled", or with {code, message}. A receiver who is busy, or has no microphone, declines.
     * @param {string} receiver
     * @param {string} context
     * @param {{receiver_image?: string, initiator_image?: string}} [options]
     * @returns {Promise<'over'>}
     */
    call(receiver: string, context: string, options?: {
        receiver_image?: string;
        initiator_image?: string;
    }): Promise<"over">;
    /** hangup ends the call that is going on. One that nobody has answered yet is not ended: that is what cancel is for. */
    hangup(): void;
    /** cancel gives up our own call that nobody has answered. */
    cancel(): void;
    /** logout signs out; initDirectCall signs in again. */
    logout(): Promise<void>;
}
