/**
 * attend does that for a client, until what it gives is called.
 * @param {import('./client.js').Client} client
 * @param {string} title of a notification
 */
export function attend(client: import("./client.js").Client, title: string): () => undefined;
