// The operator's pages. With SHOTS, a folder, the pictures are kept.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, door, hears, hub, hubDoes, key, open, press, until } from './stage.js';

const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const home = hub.replace('127.0.0.1', 'localhost'); // cookies that need TLS are kept there without
let browser, page;
const foreign = [];

before(async () => {
  browser = await browse();
  page = await (await browser.newContext()).newPage();
  page.on('pageerror', (err) => console.log(`page: ${err}`));
  page.on('console', (m) => { if (['warning', 'error'].includes(m.type()) && !m.text().includes('401')) console.log(`page: ${m.text()}`); });
  page.on('request', (r) => { if (!r.url().startsWith(home) && !/^(blob|data):/.test(r.url())) foreign.push(r.url()); });
});
after(() => browser?.close());

async function look(name) {
  for (const [as, scheme, width] of [['light', 'light', 1100], ['dark', 'dark', 1100], ['phone', 'light', 360]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 760 });
    await page.evaluate(axe); // by the debugger, which the page's policy does not bind
    const bad = await page.evaluate(async () => (await window.axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join('; ')}`));
    assert.deepEqual(bad, [], `${name} ${as}`);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} ${as} fits`);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}-${as}.png` });
  }
  await page.setViewportSize({ width: 1100, height: 760 });
}

test('signing in', async () => {
  await page.goto(home);
  await look('signin');
  await page.getByLabel('Account').fill('demo');
  await page.getByLabel('Your name').fill('Anna');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The account, the name or the password is wrong.').waitFor();
  await page.getByLabel('Password').fill('correct horse battery');
  let busy = 2; // times that the hub has too many sign-ins to do
  await page.route('**/v1/session', (route) => (route.request().method() === 'POST' && busy-- > 0
    ? route.fulfill({ status: 429, json: { code: 'ERR_RATE_LIMITED', message: 'Too many sign-ins at once.', retryable: true, retry_after_ms: 500 } })
    : route.continue()));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Trying again automatically').waitFor();
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.unroute('**/v1/session');
});

test('stations, live', async () => {
  await page.getByRole('heading', { name: 'Front door' }).waitFor();
  await page.getByText('Ready', { exact: true }).first().waitFor();
  await look('stations');
  await door('dnd', { on: true });
  await page.getByText('Do not disturb', { exact: true }).waitFor();
  await door('dnd', { on: false });
  await page.getByText('Ready', { exact: true }).first().waitFor();
});

test('a station that must be there and is not', async () => {
  await page.getByRole('heading', { name: 'garage_1' }).waitFor();
  await page.getByText('Offline', { exact: true }).waitFor();
  await page.evaluate(() => { // half a minute later
    const real = Date.now;
    Date.now = () => real() + 31_000;
  });
  await door('dnd', { on: true });
  await page.getByText('garage_1 is offline.').waitFor();
  await look('silent');
  await door('dnd', { on: false });
  await page.reload();
  await page.getByText('Connected', { exact: true }).waitFor();
});

test('calling a station, and its page', async () => {
  await page.getByRole('link', { name: 'Front door' }).click();
  await page.getByRole('heading', { name: 'Front door' }).waitFor();
  await page.getByRole('button', { name: 'Identify' }).click();
  await page.getByText('It blinks and beeps for six seconds.').waitFor();
  await page.getByText('identify', { exact: true }).waitFor();
  assert.equal((await door('status')).light, 'identify');
  await page.getByRole('button', { name: 'Call', exact: true }).click();
  await page.getByText('Ringing…').waitFor();
  await press('answer');
  await page.getByText('Ongoing call').waitFor();
  await page.waitForTimeout(1500); // a call with something to measure
  await press('hangup');
  await page.getByText('Delay').waitFor();
  await page.getByRole('img', { name: /Delay of the last/ }).waitFor();
  await look('station');
});

test('a door outside a call, where its operator allows it from here', async () => {
  await page.goto(`${home}/#/`);
  const button = page.getByRole('button', { name: 'Open door: Front door' });
  await button.waitFor();
  page.once('dialog', (d) => d.dismiss());
  await button.click();
  assert.equal((await door('status')).door.open, false, 'it was not meant');
  page.once('dialog', (d) => d.accept());
  await button.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: 'The door is open' }).waitFor();
  await until('the door is open', async () => (await door('status')).door.open);
  await look('door');
  await page.getByRole('link', { name: 'Front door' }).click();
  await page.getByText('Door opened').first().waitFor();
  await page.getByText(/console_Anna_\w+ \(Anna\): asked by an operator, outside a call/).first().waitFor();
  await button.waitFor(); // here, too
});

test('a call that comes in', async () => {
  const cuid = await page.evaluate(() => localStorage.getItem('intercom.console.cuid'));
  await page.goto(`${home}/#/`);
  await page.getByRole('heading', { name: 'Stations' }).waitFor();
  await door('call', { to: cuid, context: 'Somebody is at the front door' });
  await page.getByRole('button', { name: 'Answer' }).waitFor();
  assert.ok(await hears('web_spk', 659.3), 'it rings');
  await look('incoming-console');
  await page.getByRole('button', { name: 'Answer' }).click();
  await page.getByText('Ongoing call').waitFor();
  await page.getByRole('button', { name: 'Hang up' }).click();
  await until('idle', async () => (await door('status')).phase === 'idle');
});

test('a call that nobody took is called back', async () => {
  const cuid = await page.evaluate(() => localStorage.getItem('intercom.console.cuid'));
  await door('call', { to: cuid, context: 'Is nobody there?' });
  await page.getByRole('button', { name: 'Answer' }).waitFor();
  await press('hangup');
  await page.getByRole('heading', { name: 'Missed calls' }).waitFor();
  await page.getByText('Is nobody there?').first().waitFor();
  await look('missed');
  await page.getByRole('button', { name: 'Call back' }).first().click();
  await page.getByText('Ringing…').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await until('idle', async () => (await door('status')).phase === 'idle');
});

test('history', async () => {
  await page.getByRole('link', { name: 'Calls' }).click();
  await page.getByRole('row', { name: /Answered/ }).first().waitFor();
  await look('calls');
  await page.getByLabel('Outcome').selectOption('failed');
  await page.getByText('No calls match these filters.').waitFor();
});

/** saveAndReload takes the address that is typed; the page was connected before, too. */
async function saveAndReload() {
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Save and reload' }).click()]);
  await page.getByText('Connected', { exact: true }).waitFor();
}

test('settings, and a reload that stays signed in', async () => {
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('Address').fill('a');
  await page.getByRole('button', { name: 'Save and reload' }).click();
  await page.getByText('The address must have 5 to 50').waitFor();
  await page.getByLabel('Address').fill('reception_1');
  await look('settings');
  await saveAndReload();
  assert.equal(await page.getByLabel('Address').inputValue(), 'reception_1');
  await page.getByRole('link', { name: 'Stations' }).click(); // as which it may not open the door
  await page.getByRole('heading', { name: 'Front door' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /Open door/ }).count(), 0);
  await page.getByRole('link', { name: 'Settings' }).click();
});

test('an address that is in use is refused at the field, and nothing is lost', async () => {
  const other = await open(browser);
  await other.evaluate(async ([url, apikey]) => { window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'office_web', screens: false }); }, [hub, key]);
  const kept = () => page.evaluate(() => localStorage.getItem('intercom.console.cuid'));
  for (const [taken, why] of [['front_door', 'front_door is the address of a station'], ['garage_1', 'garage_1 is the address of a station'], ['office_web', 'office_web is in use on another device']]) {
    await page.getByLabel('Address').fill(taken);
    await page.getByRole('button', { name: 'Save and reload' }).click();
    await page.getByRole('alert').filter({ hasText: why }).waitFor();
    assert.equal(await page.getByLabel('Address').getAttribute('aria-invalid'), 'true');
    assert.equal(await kept(), 'reception_1');
  }
  await look('settings-refused');
  await page.getByRole('link', { name: 'Stations' }).click(); // the pages go on working
  await page.getByRole('heading', { name: 'Front door' }).waitFor();
  await page.reload();
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.getByRole('heading', { name: 'Front door' }).waitFor();
  assert.equal((await door('status')).phase, 'idle');
  await other.context().close();
});

test('a browser whose kept address cannot be used recovers by itself', async () => {
  const other = await open(browser);
  await other.evaluate(async ([url, apikey]) => { window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'stranding_web', screens: false }); }, [hub, key]);
  for (const [bad, why] of [['stranding_web', 'is in use on another device'], ['x', 'cannot be an address']]) {
    await page.evaluate((cuid) => localStorage.setItem('intercom.console.cuid', cuid), bad);
    await page.goto(`${home}/#/`);
    await page.reload();
    await page.getByText(`${bad} ${why}, so this browser is now console_Anna_`).waitFor();
    await page.getByText('Connected', { exact: true }).waitFor();
    await page.getByRole('heading', { name: 'Front door' }).waitFor();
    assert.match(await page.evaluate(() => localStorage.getItem('intercom.console.cuid')), /^console_Anna_/);
    if (bad === 'x') await look('recovered');
    await page.getByRole('button', { name: 'Close' }).click();
  }
  assert.equal(await other.evaluate(() => window.client.state), 'registered');
  await other.context().close();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('Address').fill('reception_1');
  await saveAndReload();
});

test('a browser that loses its address while it is away goes on with another', async () => {
  await page.evaluate(() => {
    window.realWebSocket = window.WebSocket;
    window.WebSocket = class { constructor() { throw new Error('away'); } }; // a network that is away, for this page only
  });
  await hubDoes('kill');
  await page.getByText('Reconnecting…').waitFor();
  await hubDoes('up');
  const other = await open(browser);
  await other.evaluate(async ([url, apikey]) => { window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'reception_1', screens: false }); }, [hub, key]);
  await page.evaluate(() => { window.WebSocket = window.realWebSocket; });
  await page.getByText('reception_1 is in use on another device, so this browser is now console_Anna_').waitFor();
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Stations' }).click();
  await page.getByRole('heading', { name: 'Front door' }).waitFor();
  assert.equal(await other.evaluate(() => window.client.state), 'registered', 'whoever has it keeps it');
  await other.context().close();
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('link', { name: 'Settings' }).click();
  await page.getByLabel('Address').fill('reception_1');
  await saveAndReload();
});

test('keys, groups and operators', async () => {
  await page.getByRole('link', { name: 'Administration' }).click();
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByText(/ik_/).waitFor();
  await page.getByLabel('Name').first().fill('house');
  await page.getByLabel('Members').fill('reception_1, office_1');
  await page.getByRole('button', { name: 'Save group' }).click();
  await page.getByText('Stations can now call house.').waitFor();
  await page.getByLabel('Name').last().fill('Berta');
  await page.getByLabel('Password').last().fill('another horse');
  await page.getByRole('button', { name: 'Add operator' }).click();
  await page.getByText('Berta can now sign in.').waitFor();
  // One who is there is changed, and not made again; the last administrator stays one, and signed in with a new password.
  await page.getByLabel('Name').last().fill('Berta');
  await page.getByLabel('Password').last().fill('a third horse');
  await page.getByRole('button', { name: 'Add operator' }).click();
  await page.getByText('Berta is an operator of demo already').waitFor();
  let loaded = false;
  const change = async (name, what) => {
    const row = page.getByRole('listitem').filter({ hasText: name });
    if (!await row.getByRole('button', { name: `Save ${name}` }).isVisible()) await row.getByText('Change', { exact: true }).click();
    await what(row);
    await row.getByRole('button', { name: `Save ${name}` }).click();
  };
  await change('Anna', (row) => row.getByLabel('Role').selectOption('operator'));
  await page.getByText('Anna is the last administrator of demo').waitFor();
  await change('Anna', async (row) => {
    await row.getByLabel('Role').selectOption('administrator');
    await row.getByLabel('New password').fill('correct horse battery');
    page.once('load', () => { loaded = true; });
  });
  await until('loaded again', async () => loaded);
  await page.getByText('Connected', { exact: true }).waitFor();
  await look('admin');
  page.once('dialog', (d) => d.accept());
  await page.getByRole('button', { name: 'Remove Berta' }).click();
  await page.getByText('Berta is removed.').waitFor();
  await door('call', { to: 'house', context: 'For the house' });
  await page.getByText('For the house').waitFor();
  await page.getByRole('button', { name: 'Decline' }).click();
  await until('idle', async () => (await door('status')).phase === 'idle');
});

test('signing out', async () => {
  // When the hub does not hear of it, the session goes on, and the page does not say otherwise.
  await page.route('**/v1/session', (route) => (route.request().method() === 'DELETE' ? route.abort() : route.continue()));
  const failed = page.waitForEvent('requestfailed');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await failed;
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.unroute('**/v1/session');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(foreign, [], 'nothing was asked of anybody else');
});

test('the first administrator, by the link that the hub wrote to its log', async () => {
  await page.goto(process.env.SETUP);
  await page.getByLabel('Account').fill('another');
  await page.getByLabel('Your name').fill('Carla');
  await page.getByLabel('Password').fill('one more good horse');
  await page.getByRole('button', { name: 'Create administrator' }).click();
  await page.getByRole('link', { name: 'Go to your stations' }).click();
  await page.getByRole('heading', { name: 'No stations yet' }).waitFor();
  await look('empty');
});
