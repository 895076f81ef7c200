// Preact with htm: markup as tagged templates, which browsers read as they are.

import htm from './vendor/htm.js';
import { h } from './vendor/preact.js';

export { render } from './vendor/preact.js';
export { useEffect, useReducer, useState } from './vendor/hooks.js';
export const html = htm.bind(h);
