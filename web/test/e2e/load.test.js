// The SDK is loaded while requests fail, as they do when a machine's network changes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, hub, key, site, until } from './stage.js';

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
  await page.clock.install();
  await page.goto(site);
  let done = false;
  const said = signIn(page, 'load_later').finally(() => { done = true; });
  await until('it gives up', async () => (done || page.clock.runFor(100).then(() => done)), 60_000);
  const { code, message, retryable } = await said;
  assert.equal(code, 'ERR_INTERNET_LOST');
  assert.equal(retryable, true);
  assert.match(message, /^The SDK could not be loaded whole; check the network and reload the page: .*direct\.js/);
  await page.unroute(`${hub}/sdk/tones.js`);
  await page.clock.resume();
  assert.equal(await signIn(page, 'load_later'), 'load_later');
  await close();
});

test('the worker that keeps the time is asked for again', async () => {
  const { page, asked, close } = await failing(['sdk/clock-worker.js'], 1);
  await page.goto(`${hub}/trust`); // a worker comes from the page's own site only
  await page.evaluate(async () => {
    const { after } = await import('/sdk/clock.js');
    window.tick = () => new Promise((ok) => { after(100, ok); });
    await window.tick(); // without a worker, the page's own timers do
  });
  await until('the worker was loaded', async () => (await page.evaluate(() => window.tick()), page.workers().length > 0 && asked['sdk/clock-worker.js'] > 1));
  await close();
});

test('a page that cannot fetch its token keeps trying', async () => {
  const { page, asked, close } = await failing(['v1/token'], 2);
  await page.goto(`${hub}/trust`);
  const [code, text] = await page.evaluate(async () => {
    const { connect } = await import('/sdk/intercom.js');
    return connect({ token: async () => (await fetch('/v1/token')).text(), cuid: 'load_token' }).catch((err) => [err.code, err.message]);
  });
  assert.ok(asked['v1/token'] > 2, 'it was asked for again');
  assert.notEqual(code, 'ERR_INTERNET_LOST', text); // here the hub refuses what it gave
  await close();
});

test("the operators' page is loaded again until it is whole, and does not take a lost answer for a sign-out", async () => {
  const { page, asked, close } = await failing(['console/hub.js', 'sdk/errors.js', 'console/style.css'], 1);
  const context = page.context();
  await page.goto(hub);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  for (const file of ['console/hub.js', 'sdk/errors.js', 'console/style.css']) assert.ok(asked[file] > 1, file);
  await page.getByLabel('Account').fill('demo');
  await page.getByLabel('Your name').fill('Anna');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Connected').waitFor();
  let lost = 0;
  await context.route(`${hub}/v1/session`, (route) => (lost++ < 12 ? route.abort('connectionaborted') : route.continue()));
  await page.reload();
  await page.getByRole('alert').filter({ hasText: 'The hub cannot be reached' }).waitFor();
  assert.equal(await page.getByRole('heading', { name: 'Sign in' }).count(), 0);
  await page.getByText('Connected').waitFor();
  await close();
});
