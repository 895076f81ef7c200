// The program that the contract's documentation shows at its end, on a page of the hub itself: ours, which makes the same
// calls, and the documentation's own text where it lies beside the checkout, as in CI (../shared).

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, door, hub, key, press, until } from './stage.js';

const documentation = new URL('../../../../shared/contract/direct-call-web-sdk.txt', import.meta.url);

let browser;
before(async () => { browser = await browse(); });
after(() => browser?.close());

const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);

/** start runs a program as a module of a page that comes from the hub. */
async function start(program) {
  const context = await browser.newContext({ permissions: ['local-network-access'] }); // Chromium does not know where a page comes from that a test makes
  const page = await context.newPage();
  const said = [];
  page.on('console', (m) => said.push(m.text()));
  page.on('pageerror', (err) => said.push(`thrown: ${err}`));
  const serve = (path, contentType, body) => context.route(`${hub}${path}`, (route) => route.fulfill({ contentType, body }));
  await serve('/sample.js', 'text/javascript', program);
  await serve('/sample.html', 'text/html', `<!doctype html><meta charset="utf-8"><title>A shop</title><link rel="icon" href="data:,">
    <script type="importmap">{"imports": {"clevertap-directcall-sdk": "/sdk/intercom.js"}}</script>
    <script>
      window.events = [];
      window.given = {
        accountId: 'demo', apikey: ${JSON.stringify(key)}, cuid: 'sample_web', name: 'The sample', ringtone: undefined, callee: 'front_door', context: 'As documented',
        clevertap: { event: { push: (name) => window.events.push(name) }, getCleverTapID: () => 'id', getAccountID: () => 'account' },
      };
    </script>
    <script type="module" src="sample.js"></script>`);
  await page.goto(`${hub}/sample.html`);
  await until('it is signed in', () => page.evaluate(() => window.sample?.client()?.isEnabled())).catch((err) => { throw new Error(`${err.message}: ${said}`); });
  return { page, said };
}

/** works has the program call, talk for longer than the 20 s of its own timer, and sign out. */
async function works(program) {
  await phase('idle');
  const { page, said } = await start(program);
  await page.evaluate(() => {
    window.sample.call(); // it hangs up at once, which must not end the call
    setTimeout(() => { window.past = true; }, 21_000); // set after the program's own timer
  });
  await phase('ringing');
  await page.getByText('Ringing…').waitFor();
  await press('answer');
  await page.getByText('Ongoing call').waitFor();
  await until('its timer has run out', () => page.evaluate(() => window.past), 30_000);
  assert.equal((await door('status')).phase, 'talking', 'the call lives');
  assert.deepEqual(said, [], 'nothing was said or thrown');
  await page.getByRole('button', { name: 'Hang up' }).click();
  await until('its result', () => said.length > 0);
  assert.deepEqual(said, ['Call response :  over']);
  await page.evaluate(() => window.sample.logout());
  assert.equal(await page.evaluate(() => window.sample.client().isEnabled()), false);
  assert.deepEqual(await page.evaluate(() => window.events), ['SCOutgoing', 'SCEnd']);
  await page.context().close();
  await phase('idle');
}

test('a program that makes the documented calls', () => works(readFileSync(new URL('../pages/documented.js', import.meta.url), 'utf8')));

/** What the page lost of its sample: a line as it is, and with what has to stand around it. */
const lost = [
  ['//initiate the sdk', '$\n initDirectCall({'],
  ['initiator_image: "" // optional, string', '$\n }'],
  ['* callee {string, required}: cuid whom you are calling', '/**\n $'],
  ['if (DirectCallClient.isEnabled()) {, context,calloptions)', 'if (DirectCallClient.isEnabled()) { DirectCallClient.call(callee, context,calloptions)'],
  ['console.log("Call response : ", response);', '$\n })'],
  ['.catch((error) => {', '$\n console.log("Call error : ", error) })'],
  ['// wait for sdk to be enabled or re-initiate the sdk', '$\n }'],
  ['setTimeout((DirectCallClient.hangup()), 20000)', '$\n }'],
  ['let logout = function () {', '$\n DirectCallClient.logout() }'],
];

/** mended is the documentation's sample, with what was lost. Its import stays: the page maps the package's name. */
function mended(text) {
  const first = text.lastIndexOf('import {initDirectCall}');
  const whole = text.slice(first, text.indexOf('The following table', first)).split('\n').map((l) => l.trim()).filter(Boolean);
  for (const [line, instead] of lost) {
    const at = whole.indexOf(line);
    assert.ok(at >= 0, `the sample has no line ${line}`);
    whole[at] = instead.replace('$', () => line);
  }
  const values = 'var { accountId, apikey, cuid, clevertap, name, ringtone, callee, context } = window.given, DirectCallClient, calloptions = {};';
  return [whole[0], values, ...whole.slice(1), 'window.sample = { call, logout, client: () => DirectCallClient };'].join('\n');
}

test('the sample of the documentation as it stands', { skip: existsSync(documentation) ? false : 'the documentation is not beside this checkout' },
  () => works(mended(readFileSync(documentation, 'utf8'))));
