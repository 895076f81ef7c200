// Calls between a browser and a station, with what is said found at the other end.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, door, hears, hub, key, open, press, sing, until } from './stage.js';

let browser, page;

before(async () => {
  browser = await browse();
  page = await open(browser);
  await page.evaluate(async ([url, apikey]) => {
    window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'reception', name: 'Reception', screens: false });
    window.log = [];
    window.client.on('call', (call) => {
      window.log = [call.state];
      call.on('state', (s) => window.log.push(s));
      call.on('warning', (w) => window.log.push(`warning ${w.name} ${w.on}`));
      window.call = call;
    });
  }, [hub, key]);
});

after(() => browser?.close());

const state = (s) => until(`the browser's call is ${s}`, () => page.evaluate((s) => window.call?.state === s, s));
const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);

test('the browser calls, the station answers', async () => {
  await page.click('#click');
  await page.evaluate(() => { window.client.call('front_door', 'Delivery'); });
  await state('ringing');
  assert.ok(await hears('web_spk', 425), 'the caller hears that it rings');
  await press('answer');
  await state('talking');
  const stop = sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the station hears the browser');
  stop();
  const stop2 = sing('door_mic', 1500);
  assert.ok(await hears('web_spk', 1500), 'the browser hears the station');
  stop2();
  const quality = await until('quality', () => page.evaluate(() => window.call.quality));
  assert.equal(quality.route, 'direct');
  await press('hangup');
  const outcome = await page.evaluate(() => window.call.result);
  assert.equal(outcome.status, 'over');
  assert.equal(outcome.reason, 'hangup');
  assert.equal(outcome.by, 'front_door');
  assert.deepEqual(await page.evaluate(() => window.log), ['calling', 'ringing', 'talking', 'ended']);
  await phase('idle');
});

test('the station answers before the browser has read its description', async () => {
  await page.evaluate(() => {
    const take = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = async function slow(d) {
      RTCPeerConnection.prototype.setRemoteDescription = take;
      await new Promise((ok) => { window.call.on('state', (s) => s === 'connecting' && ok()); });
      return take.call(this, d);
    };
    window.call = undefined;
    window.client.call('front_door', 'Delivery');
  });
  await phase('ringing');
  await press('answer');
  await state('talking');
  sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the station hears the browser');
  await page.evaluate(() => window.call.hangup());
  await phase('idle');
});

test('the station calls, the browser answers', async () => {
  await page.evaluate(() => { window.call = undefined; });
  await press('call');
  await state('ringing');
  assert.ok(await hears('web_spk', 659.3), 'it rings');
  assert.deepEqual(await page.evaluate(() => [window.call.direction, window.call.peer.cuid, window.call.peer.name, window.call.context]), ['in', 'front_door', 'Front door', 'Somebody is at the front door']);
  await phase('ringback');
  await page.evaluate(() => window.call.answer());
  await state('talking');
  const stop = sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the station hears the browser');
  await page.evaluate(() => window.call.mute());
  await until('silence', async () => !(await hears('door_spk', 1000, { limit: 500 })));
  await page.evaluate(() => window.call.mute(false));
  assert.ok(await hears('door_spk', 1000), 'and again');
  stop();
  await page.evaluate(() => window.call.hangup());
  assert.equal((await page.evaluate(() => window.call.result)).by, 'reception');
  await phase('idle');
});
