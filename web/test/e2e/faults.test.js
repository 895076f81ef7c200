// What goes wrong in a call: it goes on, comes back, or has its outcome in time.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { browse, cut, door, hears, hub, hubDoes, key, mic, open, press, sing, until } from './stage.js';

let browser, page;
const phase = (p, limit) => until(`the station is ${p}`, async () => (await door('status')).phase === p, limit);
const state = (s, limit) => until(`the browser's call is ${s}`, () => page.evaluate((s) => window.call?.state === s, s), limit);
const lastCall = async () => (await door('status')).last_call;

/** talk brings about a call between the browser and the station. */
async function talk(cuid, options = {}) {
  browser ??= await browse();
  page = await open(browser);
  await page.evaluate(async ([url, apikey, cuid, options]) => {
    window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid, screens: false, ...options });
    window.log = [];
    window.call = window.client.call('front_door', 'Test');
    window.call.on('state', (s) => window.log.push(s));
  }, [hub, key, cuid, options]);
  await state('ringing');
  await press('answer');
  await state('talking');
}

after(() => browser?.close());
afterEach(async () => {
  await page?.context().close().catch(() => {});
  await until('the station is ready', async () => { const s = await door('status'); return s.phase === 'idle' && s.hub.online; }, 40_000);
});

test('the hub is killed in a call, and comes back', async () => {
  await talk('faults_1');
  await hubDoes('kill');
  const stop = sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the voices go on without it');
  await hubDoes('up');
  await until('both are back', async () => (await door('status')).hub.online && page.evaluate(() => window.client.isEnabled()), 40_000);
  assert.ok(await hears('door_spk', 1000), 'and with it');
  stop();
  assert.equal(await page.evaluate(() => window.call.state), 'talking');
  await press('hangup');
  const { status, reason, by } = await page.evaluate(() => window.call.result);
  assert.deepEqual([status, reason, by], ['over', 'hangup', 'front_door']);
});

test('the hub that relays a call is killed, and comes back: so do the voices, by its new relay', async () => {
  await talk('faults_relay', { relay: true });
  await hubDoes('kill');
  await hubDoes('up');
  const stop = sing('web_mic', 1000);
  await until('the voices are back', () => hears('door_spk', 1000), 30_000);
  stop();
  await state('talking');
  assert.equal((await door('status')).quality.route, 'relay');
  await press('hangup');
});

test('an end that the hub does not hear is told later', async () => {
  await talk('faults_2');
  await hubDoes('kill');
  await until('the browser knows', () => page.evaluate(() => !window.client.isEnabled()));
  await page.evaluate(() => window.call.hangup());
  assert.equal((await page.evaluate(() => window.call.result)).status, 'over');
  await hubDoes('up');
  await phase('idle', 40_000);
  assert.equal((await lastCall()).status, 'over');
});

test('a page that is loaded again in a call gives an outcome at once', async () => {
  await talk('faults_3');
  const began = Date.now();
  await page.reload();
  await phase('idle', 10_000);
  assert.equal(`${(await lastCall()).status}/${(await lastCall()).reason}`, 'over/shutdown');
  assert.ok(Date.now() - began < 10_000);
});

test('a browser that crashes in a call gives an outcome within 10 s', async () => {
  await talk('faults_4');
  const began = Date.now();
  const ended = browser.close(); // no page hears of it
  await phase('idle', 20_000);
  const { status, reason } = await lastCall();
  assert.equal(status, 'over', reason);
  assert.ok(Date.now() - began < 12_000, `${Date.now() - began} ms`);
  await ended;
  browser = undefined;
});

test('the network is away for five seconds: the call comes back', async () => {
  await talk('faults_5');
  await cut('6s');
  await state('reconnecting');
  await state('talking', 40_000);
  const stop = sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the voices are back');
  stop();
  await until('signed in', () => page.evaluate(() => window.client.isEnabled()), 40_000);
  await page.evaluate(() => window.call.hangup());
  assert.equal((await page.evaluate(() => window.call.result)).status, 'over');
});

test('another microphone in a call', async () => {
  await talk('faults_6');
  const stop = sing('web_mic2', 1200);
  assert.ok(!(await hears('door_spk', 1200, { limit: 1000 })));
  await page.evaluate(async () => {
    const other = (await window.client.devices.list('microphone')).find((d) => d.label.includes('mic2'));
    window.client.devices.choose('microphone', other.id);
  });
  assert.ok(await hears('door_spk', 1200), 'the other one is heard');
  stop();
  await page.evaluate(() => window.call.hangup());
});

test('a microphone that is unplugged in a call: the usual one is taken', async () => {
  await talk('faults_7');
  await page.evaluate(async () => {
    window.devices = [];
    window.call.on('device', (d) => window.devices.push(d));
    const other = (await window.client.devices.list('microphone')).find((d) => d.label.includes('mic2'));
    window.client.devices.choose('microphone', other.id);
  });
  const stop = sing('web_mic2', 1200);
  assert.ok(await hears('door_spk', 1200), 'the second is heard');
  stop();
  await mic('unplug');
  try {
    const stop2 = sing('web_mic', 1000);
    assert.ok(await hears('door_spk', 1000, { limit: 15_000 }), 'the first is heard');
    stop2();
    assert.ok(await page.evaluate(() => window.devices.some((d) => !d.lost)), 'and the page was told');
  } finally {
    await mic('plug');
  }
  await page.evaluate(() => window.call.hangup());
});
