// The SDK: connect is our own interface, initDirectCall the Direct Call contract. README.md shows both.

export { connect, Client } from './client.js';
export { initDirectCall, DirectCallClient } from './direct.js';
export { IntercomError, codes } from './errors.js';
