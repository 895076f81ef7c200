// A program that was written against the Direct Call contract runs against our hub, with the call screens as they are.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { browse, door, hub, key, open, press, site, until } from './stage.js';

let browser, page;
const logged = (line, limit = 30_000) => until(`${line} in the log`, () => page.evaluate((line) => window.log.some((l) => l.join(': ') === line), line), limit);
const click = (name) => page.getByRole('button', { name, exact: true }).click();
const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);
const talking = () => until('the call is shown', () => page.getByText('00:00:0').isVisible());

before(async () => {
  browser = await browse();
  page = await open(browser, `/contract.html?hub=${encodeURIComponent(hub)}&key=${key}`);
  await until('the program', () => page.evaluate(() => window.ready));
  await click('Sign in');
  await logged('init: done');
});
beforeEach(async () => {
  await phase('idle');
  await page.evaluate(() => { window.log = []; window.events = []; });
});
after(() => browser?.close());

test('over', async () => {
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await press('answer');
  await talking();
  await click('Hang up');
  await logged('call: over');
  assert.deepEqual(await page.evaluate(() => window.events.map((e) => [e.name, e.cuid, e.context, e['call status']])), [['SCOutgoing', 'front_door', 'A parcel', undefined], ['SCEnd', 'front_door', 'A parcel', 'over']]);
});

test('metered by the program', async () => {
  await click('Call for two seconds');
  await page.getByText('Ringing…').waitFor();
  await press('answer');
  await logged('call: over');
});

test('declined', async () => {
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await door('decline', {});
  await logged('call: declined');
});

test('cancelled on the screen', async () => {
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await click('Cancel');
  await logged('call: cancelled');
});

test('a second call while there is one', async () => {
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await click('Call');
  await logged('call: ERR_OUTGOING_CALL_IN_PROGRESS');
  await click('Cancel');
  await logged('call: cancelled');
});

test('hangup leaves a call that rings alone, and cancel gives it up', async () => {
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await click('End it');
  await press('answer'); // it still rings there
  await talking();
  assert.deepEqual(await page.evaluate(() => window.log), [], 'and has not ended here');
  await click('End it');
  await logged('call: over');
  await phase('idle');
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await page.evaluate(() => { setTimeout(window.client().cancel, 10); }); // a method that is passed on
  await logged('call: cancelled');
});

test('hangup and cancel leave a call that comes in to its screen', async () => {
  await door('call', { to: 'shop_web', context: 'Somebody is here' });
  await page.getByText('Incoming call').waitFor();
  await click('End it');
  await page.evaluate(() => window.client().cancel());
  await click('Answer');
  await talking();
  await click('Hang up');
  await phase('idle');
});

test('missed', async () => {
  await click('Call');
  await logged('call: missed', 45_000);
});

test('a call again, once the last one has ended in any way', async () => {
  for (const [end, how] of [
    ['declined', () => door('decline', {})],
    ['cancelled', () => click('Cancel')],
    ['over', async () => { await press('answer'); await talking(); await press('hangup'); }],
    ['declined', () => door('decline', {})],
  ]) {
    await page.evaluate(() => { window.log = []; });
    await click('Call');
    await page.getByText('Ringing…').waitFor();
    await how();
    await logged(`call: ${end}`);
    await phase('idle');
  }
});

test('two cuids that differ in their case, with their names and pictures', async () => {
  const other = await open(browser, `/contract.html?hub=${encodeURIComponent(hub)}&key=${key}&cuid=Shop_Web`);
  await until('the program', () => other.evaluate(() => window.ready));
  await other.getByRole('button', { name: 'Sign in' }).click();
  await until('it is signed in', () => other.evaluate(() => window.log.some((l) => l[0] === 'init')));
  assert.deepEqual(await other.evaluate(() => window.log), [['init', 'done']]);
  const pictures = { receiver_image: `${site}/face.svg?receiver`, initiator_image: `${site}/face.svg?initiator` };
  await page.evaluate((pictures) => { window.end = window.client().call('Shop_Web', 'A parcel', pictures).catch((err) => err); }, pictures);
  await other.getByText('Incoming call').waitFor();
  assert.ok(await other.getByText('A parcel').isVisible());
  assert.ok(await other.getByRole('heading', { name: 'The shop' }).isVisible());
  assert.equal(await other.locator('intercom-screens img').getAttribute('src'), pictures.initiator_image);
  assert.equal(await page.locator('intercom-screens img').getAttribute('src'), pictures.receiver_image);
  await other.getByRole('button', { name: 'Decline', exact: true }).click();
  assert.equal(await page.evaluate(() => window.end), 'declined');
  await other.context().close();
});

test('the client is a DirectCallClient, also by the names of the successor', async () => {
  assert.deepEqual(await page.evaluate(() => {
    const { initDirectCall, initSignedCall, DirectCallClient, SignedCallClient } = window.sdk;
    const client = window.client();
    return [client instanceof DirectCallClient, client instanceof SignedCallClient, initSignedCall === initDirectCall, typeof client.isEnabled()];
  }), [true, true, true, 'boolean']);
});

test('a call that comes in', async () => {
  await door('call', { to: 'shop_web', context: 'Somebody is here' });
  await page.getByText('Incoming call').waitFor();
  assert.ok(await page.getByText('Somebody is here').isVisible());
  assert.ok(await page.getByRole('heading', { name: 'Front door' }).isVisible());
  await click('Answer');
  await talking();
  await click('Mute');
  await page.getByText('You are muted').waitFor();
  await press('hangup');
  await page.getByText('Call ended').waitFor();
  assert.deepEqual(await page.evaluate(() => window.events.map((e) => e.name)), ['SCIncoming', 'SCEnd']);
});

test('sign out, and in again', async () => {
  await click('Sign out');
  await logged('enabled: false');
  await click('Call');
  await logged('call: not enabled');
  await click('Sign in');
  await logged('init: done');
  await click('Call');
  await page.getByText('Ringing…').waitFor();
  await click('Cancel');
  await logged('call: cancelled');
});
