// A browser that is too old is told so when the SDK is loaded. This one is made older.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, hub, run, site } from './stage.js';

let browser;
before(async () => { browser = await browse(); });
after(() => browser?.close());

/** load gives what comes of loading the SDK in a page, whose browser lacks something, and which files were loaded. */
async function load(remove) {
  const context = await browser.newContext();
  const page = await context.newPage();
  if (remove) await page.addInitScript(remove);
  const loaded = [];
  page.on('request', (r) => { if (r.url().includes('/sdk/')) loaded.push(r.url().split('/sdk/')[1]); });
  await page.goto(site);
  const said = await page.evaluate((hub) => import(`${hub}/sdk/intercom.js`).then(() => 'loaded', ({ code, field, retryable, message }) => ({ code, field, retryable, message })), hub);
  await context.close();
  return { said, loaded };
}

test('a browser that lacks something is told at load', async () => {
  for (const [remove, what] of [
    ['delete window.RTCPeerConnection', 'RTCPeerConnection.connectionState'],
    ['delete String.prototype.replaceAll', 'String.replaceAll'],
    ['delete CSSStyleSheet.prototype.replaceSync', 'CSSStyleSheet.replaceSync'],
    ['delete window.CSS', 'CSS inset'],
  ]) {
    const { said, loaded } = await load(remove);
    assert.equal(said.code, 'ERR_VERSION', what);
    assert.equal(said.field, 'browser');
    assert.equal(said.retryable, false);
    assert.ok(said.message.includes(`it has no ${what}. Use Chrome`), said.message);
    assert.ok(!loaded.includes('client.js'), 'and what it may not be able to read is not loaded');
  }
  assert.equal((await load()).said, 'loaded');
});

test('the check is also a plain script, for browsers that know no modules', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript('delete CSSStyleSheet.prototype.replaceSync');
  await page.goto(site);
  await page.addScriptTag({ url: `${hub}/sdk/browser.js` });
  assert.match(await page.evaluate(() => window.intercomUnsupported), /^This browser cannot make calls: it has no CSSStyleSheet.replaceSync. Use Chrome/);
  await context.close();
});

test('the operators\' page says so too', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript('delete CSSStyleSheet.prototype.replaceSync');
  await page.goto(hub);
  await page.getByRole('alert').filter({ hasText: 'This browser cannot make calls' }).waitFor();
  await context.close();
});

test('npm installs the package from the hub', async () => {
  const at = mkdtempSync(join(tmpdir(), 'intercom-sdk-'));
  try {
    writeFileSync(join(at, 'package.json'), '{"name": "shop", "private": true}');
    await run('npm', ['install', '--silent', '--no-audit', '--no-fund', '--cache', join(at, 'cache'), `${hub}/sdk/intercom-sdk.tgz`], { cwd: at });
    const installed = (name) => readFileSync(join(at, 'node_modules/intercom-sdk', name), 'utf8');
    for (const name of ['src/intercom.js', 'types/intercom.d.ts', 'README.md']) assert.equal(installed(name), readFileSync(new URL(`../../sdk/${name}`, import.meta.url), 'utf8'), name);
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
});
