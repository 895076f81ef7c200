// A program that was written against the Direct Call contract runs against our hub, with the call screens as they are.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { browse, door, hub, key, open, press, until } from './stage.js';

let browser, page;
const logged = (line) => until(`${line} in ${'the log'}`, () => page.evaluate((line) => window.log.some((l) => l.join(': ') === line), line), 30_000);
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
  await click('End it');
  await logged('call: cancelled');
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
