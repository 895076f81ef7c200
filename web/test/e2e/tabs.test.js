// Several tabs of one user are one device.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, door, hub, key, press, site, until } from './stage.js';

let browser, context;
const tabs = [];

before(async () => {
  browser = await browse();
  context = await browser.newContext();
  for (let i = 0; i < 2; i++) tabs.push(await tab());
});
after(() => browser?.close());

async function tab() {
  const page = await context.newPage();
  page.on('pageerror', (err) => console.log(`page: ${err}`));
  await page.goto(site);
  await page.evaluate(async ([hub, apikey]) => {
    window.sdk = await import(`${hub}/sdk/intercom.js`);
    window.client = await window.sdk.connect({ url: hub, account: 'demo', apikey, cuid: 'tabs_web' });
    window.incoming = 0;
    window.client.on('incoming', () => window.incoming++);
  }, [hub, key]);
  return page;
}

const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);
const ring = () => door('call', { to: 'tabs_web', context: 'For all tabs' });

test('one rings, all show it', async () => {
  await ring();
  await phase('ringback');
  for (const t of tabs) await t.getByText('For all tabs').waitFor();
  assert.deepEqual(await Promise.all(tabs.map((t) => t.evaluate(() => window.incoming))), [1, 0]);
  assert.ok(await tabs[1].getByText('This call is in another tab').isVisible());
});

test('closing the one that rings hands it over', async () => {
  await tabs.shift().close();
  await until('the other rings', () => tabs[0].evaluate(() => window.client.current?.state === 'ringing'));
  await tabs[0].bringToFront();
  await tabs[0].getByRole('button', { name: 'Answer', exact: true }).click();
  await phase('talking');
  await tabs[0].getByRole('button', { name: 'Hang up' }).click();
  await phase('idle');
});

test('answered in the tab that does not ring', async () => {
  tabs.push(await tab());
  await ring();
  await tabs[1].getByText('This call is in another tab').waitFor();
  await tabs[1].getByRole('button', { name: 'Answer here' }).click();
  await phase('talking');
  await until('the first shows it', () => tabs[0].getByText('This call is in another tab').isVisible());
  assert.equal(await tabs[1].evaluate(() => window.client.current.state), 'talking');
  await press('hangup');
  await phase('idle');
});

test('a call from the tab that is not signed in itself', async () => {
  for (const t of tabs) {
    await until('it knows that the last call is over', () =>
      t.evaluate(() => !window.client.current && !document.body.innerText.includes('This call is in another tab')));
  }
  assert.equal(await tabs[1].evaluate(() => window.client.call('front_door', 'From a tab').id.length), 32);
  await phase('ringing');
  await press('hangup');
  await phase('idle');
});

