// A house without a public name: the hub's own certificate authority, in a browser that trusts it and in one that does not;
// and a hub without TLS in the network. With SHOTS, a folder, the pictures are kept.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, door, hears, sing, until } from './stage.js';

const { SECURE, CA_AT, GATE, TRUSTING, PLAIN, PLAIN_SETUP, SHOTS } = process.env;
const port = SECURE.split(':')[1];
const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const args = ['--host-resolver-rules=MAP intercom.lan 10.82.0.1, MAP other.lan 10.82.0.1'];
let stranger, friend;

before(async () => {
  stranger = await browse({ args });
  friend = await browse({ args, env: { HOME: TRUSTING } });
});
after(() => Promise.all([stranger?.close(), friend?.close()]));

async function look(page, name) {
  for (const [as, colorScheme, width] of [['light', 'light', 1100], ['dark', 'dark', 1100], ['phone', 'light', 360]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(axe);
    const bad = await page.evaluate(async () => (await window.axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join('; ')}`));
    assert.deepEqual(bad, [], `${name} ${as}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} ${as} fits`);
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${as}.png`, fullPage: true });
  }
}

test('who does not trust the authority is warned; without TLS there is its certificate and nothing else', async () => {
  const warned = await stranger.newPage();
  await assert.rejects(warned.goto(`https://intercom.lan:${port}/`), /ERR_CERT_AUTHORITY_INVALID/);
  await warned.context().close();
  const page = await stranger.newPage();
  await page.goto(CA_AT);
  await page.getByRole('heading', { name: 'A secure connection to this hub' }).waitFor();
  await look(page, 'trust');
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the certificate' }).click()]);
  assert.equal(file.suggestedFilename(), 'intercom-ca.crt');
  const text = readFileSync(await file.path(), 'utf8');
  assert.match(text, /^-----BEGIN CERTIFICATE-----/);
  assert.doesNotMatch(text, /PRIVATE/);
  for (const path of ['/v1/session', '/v1/calls', '/healthz', '/setup', '/sdk/intercom.js', '/ca.key', '/hub.pem', '/console/app.js']) {
    assert.equal((await fetch(CA_AT + path)).status, 404, path);
  }
  assert.equal((await fetch(`${CA_AT}/v1/session`, { method: 'POST', body: '{}' })).status, 404);
  await page.context().close();
});

test('who trusts it signs in, and talks with a station that trusts it too', async () => {
  const other = await friend.newPage();
  await assert.rejects(other.goto(`https://other.lan:${port}/`), /ERR_CERT_COMMON_NAME_INVALID/);
  await other.context().close();
  const page = await friend.newPage();
  page.on('pageerror', (err) => console.log(`page: ${err}`));
  for (const host of ['intercom.lan', '10.82.0.1']) {
    await page.goto(`https://${host}:${port}/`);
    assert.equal(await page.evaluate(() => window.isSecureContext), true);
    await page.getByLabel('Account').fill('demo');
    await page.getByLabel('Your name').fill('Anna');
    await page.getByLabel('Password').fill('correct horse battery');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Connected', { exact: true }).waitFor();
    await page.reload();
    await page.getByText('Connected', { exact: true }).waitFor();
  }
  await page.getByRole('heading', { name: 'Garden gate' }).waitFor();
  assert.equal((await page.goto(`https://intercom.lan:${port}/trust`)).status(), 200);
  await page.goto(`https://intercom.lan:${port}/`);
  await page.getByRole('button', { name: 'Call', exact: true }).first().click();
  await until('it rings', async () => (await door('status', undefined, GATE)).phase === 'ringing');
  await door('press', { button: 'answer', hold_ms: 60 }, GATE);
  await page.getByRole('timer').filter({ hasText: '00:00:0' }).waitFor();
  sing('door_mic', 1500);
  assert.ok(await hears('web_spk', 1500, { limit: 30_000 }), 'the browser hears the station');
  await page.getByRole('button', { name: 'Hang up' }).click();
  await until('it is over', async () => (await door('status', undefined, GATE)).phase === 'idle');
  await page.context().close();
});

test('the pages say which station refused its settings', async () => {
  const page = await friend.newPage();
  await page.goto(`https://intercom.lan:${port}/`);
  await page.getByLabel('Account').fill('demo');
  await page.getByLabel('Your name').fill('Anna');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('link', { name: 'Garden gate' }).click();
  await page.getByText('SETTINGS_REFUSED').waitFor();
  await page.context().close();
});

test('a page without TLS in the network says so, asks for no password, and never says that one is signed in', async () => {
  const page = await stranger.newPage();
  await page.goto(PLAIN);
  await page.getByRole('heading', { name: 'Not secure' }).waitFor();
  assert.equal(await page.getByLabel('Password').count(), 0);
  await look(page, 'insecure');
  await page.getByRole('link', { name: 'How to get one' }).click();
  await page.getByRole('heading', { name: 'A secure connection to this hub' }).waitFor();
  await page.goto(PLAIN_SETUP);
  await page.getByText('This page came over plain HTTP.').waitFor();
  assert.equal(await page.getByLabel('Password').isVisible(), false);
  assert.ok(page.url().endsWith(PLAIN_SETUP.split('#')[1]), 'the link can be used once there is TLS');
  await look(page, 'setup-insecure');
  await page.context().close();
});

test('a browser that keeps no cookie is told so', async () => {
  const page = await friend.newPage();
  await page.route('**/v1/session', (route) => (route.request().method() === 'POST' ? route.fulfill({ json: {} }) : route.continue())); // as if it were dropped
  await page.goto(`https://intercom.lan:${port}/`);
  await page.getByLabel('Account').fill('demo');
  await page.getByLabel('Your name').fill('Anna');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('This browser did not keep the sign-in.').waitFor();
  await page.context().close();
});
