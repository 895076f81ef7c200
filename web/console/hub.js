// What the pages ask of the hub, and what they keep of its answers.

import { again } from '/sdk/again.js';
import { connect, IntercomError } from '/sdk/intercom.js';

/**
 * ask is a request to the hub; what goes wrong is an IntercomError. A question that the network lost is asked again for a
 * while; an order is not, which may have arrived.
 */
export async function ask(path, { method = 'GET', body } = {}) {
  let r;
  try {
    const send = () => fetch(path, { method, body: body && JSON.stringify(body), redirect: 'error' }); // a redirect could take a password elsewhere
    r = await (method === 'GET' ? again(send, { longest: 5000 }) : send());
  } catch {
    throw new IntercomError('ERR_INTERNET_LOST');
  }
  if (r.status === 204) return undefined;
  const reply = await r.json().catch(() => ({}));
  if (!r.ok) throw IntercomError.of(reply);
  return reply;
}

export const session = () => ask('/v1/session');
export const signIn = (body) => ask('/v1/session', { method: 'POST', body });
export const signOut = () => ask('/v1/session', { method: 'DELETE' });

const kept = 'intercom.console.cuid';

function newAddress(name) {
  const random = [...crypto.getRandomValues(new Uint8Array(3))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const made = `console_${name.normalize('NFD').replace(/[^A-Za-z0-9]+/g, '').slice(0, 20) || 'user'}_${random}`;
  localStorage.setItem(kept, made);
  return made;
}

/** address is this browser's own, by which it is called. */
export const address = (name) => localStorage.getItem(kept) ?? newAddress(name);

/** leaveAddress gives up an address that another device has, unless another page of this browser did, and gives the new one. */
export const leaveAddress = (cuid, name) => (address(name) === cuid ? newAddress(name) : address(name));

const signInAs = (who, cuid, screens) => connect({ token: async () => (await session()).token, cuid, name: who.name.length >= 3 ? who.name : undefined, screens });

/** move gives this browser another address, once the hub has let it sign in with that. If not, the old one stays. */
export async function move(who, cuid) {
  const trial = await signInAs(who, cuid, false);
  await trial.logout();
  localStorage.setItem(kept, cuid);
}

/** unusable tells whether an error of the sign-in is about the address of this browser. */
export const unusable = (err) => err.code === 'ERR_ALREADY_SIGNEDIN' || err.field === 'cuid';

/**
 * enter signs this browser in as a device, and follows who is there. changed is told of news, and refused why a later
 * sign-in failed.
 */
export async function enter(who, cuid, changed, refused) {
  const client = await signInAs(who, cuid, true);
  const devices = new Map();
  const hub = { client, devices, since: Date.now() }; // since when it is known who is there
  client.on('presence', ({ whole, devices: news }) => {
    if (whole) {
      devices.clear();
      hub.since = Date.now();
    }
    for (const d of news) devices.set(d.cuid, d);
    changed();
  });
  client.on('state', (s) => {
    if (s === 'registered') client.watch();
    changed();
  });
  client.on('trouble', (err) => { if (!client.current && (unusable(err) || err.code === 'ERR_INVALID_CREDENTIALS')) refused(err); });
  client.on('call', (call) => {
    changed();
    call.on('state', changed);
  });
  client.on('elsewhere', changed);
  client.watch();
  return hub;
}
