// The same in Firefox, driven by WebDriver BiDi.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from 'puppeteer-core';
import { door, hears, hub, key, press, server, sing, site, until } from './stage.js';

let browser, page;
const state = (s) => until(`the browser's call is ${s}`, () => page.evaluate((s) => window.call?.state === s, s));
const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);

before(async () => {
  browser = await launch({
    browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true,
    env: { ...process.env, PULSE_SERVER: server, PULSE_SOURCE: 'web_mic_in', PULSE_SINK: 'web_spk' },
    extraPrefsFirefox: { 'media.navigator.permission.disabled': true, 'media.navigator.streams.fake': false },
  });
  page = await browser.newPage();
  await page.goto(site);
  await page.evaluate(async (hub, apikey) => {
    const { connect } = await import(`${hub}/sdk/intercom.js`);
    window.client = await connect({ url: hub, account: 'demo', apikey, cuid: 'firefox_web', name: 'Firefox' });
    window.client.on('call', (call) => { window.call = call; });
  }, hub, key);
  await page.click('#click');
});
after(() => browser?.close());

test('Firefox calls, the station answers', async () => {
  await page.evaluate(() => { window.client.call('front_door', 'From Firefox'); });
  await state('ringing');
  await press('answer');
  await state('talking');
  const stop = sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the station hears the browser');
  stop();
  const stop2 = sing('door_mic', 1500);
  assert.ok(await hears('web_spk', 1500), 'the browser hears the station');
  stop2();
  await until('quality', () => page.evaluate(() => window.call.quality?.route === 'direct'));
  await press('hangup');
  const { status, reason } = await page.evaluate(() => window.call.result);
  assert.deepEqual([status, reason], ['over', 'hangup']);
  await phase('idle');
});

test('the station calls, Firefox answers on the screen', async () => {
  await door('call', { to: 'firefox_web', context: 'For Firefox' });
  await state('ringing');
  assert.ok(await hears('web_spk', 659.3), 'it rings');
  await page.locator('intercom-screens >>> button[data-do=answer]').click();
  await state('talking');
  const stop = sing('web_mic', 1000);
  assert.ok(await hears('door_spk', 1000), 'the station hears the browser');
  stop();
  await page.evaluate(() => window.call.hangup());
  assert.equal((await page.evaluate(() => window.call.result)).by, 'firefox_web');
  await phase('idle');
});
