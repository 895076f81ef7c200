// The SDK is loaded while requests fail, as they do when a machine's network changes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, hub, key, site } from './stage.js';

let browser;
before(async () => { browser = await browse(); });
after(() => browser?.close());

/** failing opens a page whose first requests for some of the hub's files fail, so many for each. */
async function failing(files, times) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const asked = {};
  for (const file of files) {
    await page.route(`${hub}/${file}`, (route) => {
      asked[file] = (asked[file] ?? 0) + 1;
      return asked[file] <= times ? route.abort('connectionaborted') : route.continue();
    });
  }
  return { page, asked, close: () => context.close() };
}

/** signIn gives what comes of it. */
const signIn = (page, cuid) => page.evaluate(async ([hub, apikey, cuid]) => {
  const { connect } = await import(`${hub}/sdk/intercom.js`);
  return connect({ url: hub, account: 'demo', apikey, cuid }).then((c) => { c.logout(); return c.cuid; }, ({ code, message, retryable }) => ({ code, message, retryable }));
}, [hub, key, cuid]);

for (const [what, files] of [
  ['the rest of the SDK', ['sdk/direct.js']],
  ['what that imports', ['sdk/tones.js', 'sdk/media.js']],
  ['the call screens', ['sdk/screens.js', 'sdk/texts.js']],
]) {
  test(`requests for ${what} fail three times`, async () => {
    const { page, asked, close } = await failing(files, 3);
    await page.goto(site);
    assert.equal(await signIn(page, 'load_again'), 'load_again');
    for (const file of files) assert.ok(asked[file] > 0, `${file} was asked for`);
    await close();
  });
}

test('a network that stays away is said, and another try loads it', async () => {
  const { page, close } = await failing(['sdk/tones.js'], Infinity);
  await page.goto(site);
  const { code, message, retryable } = await signIn(page, 'load_later');
  assert.equal(code, 'ERR_INTERNET_LOST');
  assert.equal(retryable, true);
  assert.match(message, /^The SDK could not be loaded whole; check the network, and try again: .*direct\.js/);
  await page.unroute(`${hub}/sdk/tones.js`);
  assert.equal(await signIn(page, 'load_later'), 'load_later');
  await close();
});
