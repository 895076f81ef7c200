// The call screens: what they show, by keyboard, for a screen reader, in light and dark, on a phone, from right to left.
// With SHOTS, a folder, the pictures are kept.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
import { browse, door, hub, key, open, press, site, until } from './stage.js';

const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
let browser, page;
const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);

/** over waits until the call is over for both: the station may hear of the end before the page does. */
const over = async () => {
  await phase('idle');
  await until('the page has no call', () => page.evaluate(() => !window.client.current));
};

before(async () => {
  browser = await browse();
  page = await open(browser, '/screens.html');
  await page.evaluate(async ([url, apikey]) => {
    window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'screens_web', name: 'Screens' });
  }, [hub, key]);
});
after(() => browser?.close());

/** look has each look of a screen checked by axe, and pictures taken. */
async function look(name) {
  for (const [as, scheme, width] of [['light', 'light', 900], ['dark', 'dark', 900], ['phone', 'light', 360]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 640 });
    const bad = await page.evaluate(async (axe) => {
      if (!window.axe) new Function(axe)();
      const { violations } = await window.axe.run(document.querySelector('intercom-screens'));
      return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join('; ')}`);
    }, axe);
    assert.deepEqual(bad, [], `${name} ${as}`);
    const box = await page.locator('intercom-screens section').boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= width && box.y >= 0, `${name} ${as} is within the page`);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}-${as}.png` });
  }
}

test('outgoing, until it really rings, and ongoing', async () => {
  await page.evaluate((site) => window.client.call('front_door', 'A parcel for you', { receiver_image: `${site}/face.svg` }), site);
  await page.getByText('Ringing…').waitFor();
  await look('outgoing');
  await press('answer');
  await page.getByRole('timer').filter({ hasText: '00:00:0' }).waitFor();
  await until('quality', () => page.getByRole('img', { name: /Quality/ }).isVisible());
  await page.getByRole('button', { name: 'Mute', exact: true }).click();
  assert.equal(await page.getByRole('button', { name: 'Unmute' }).getAttribute('aria-pressed'), 'true');
  await look('ongoing');
  await press('hangup');
  await page.getByText('Call ended').waitFor();
  await until('it goes', async () => !(await page.locator('intercom-screens section').isVisible()));
});

const opened = () => until('the door is open', async () => (await door('status')).door.open);
const shut = () => until('the door is shut', async () => !(await door('status')).door.open);

test('the door of the other side opens by keyboard, once, and a refusal says why', async () => {
  await page.evaluate(() => { window.client.call('front_door', 'Let me in'); });
  await phase('ringing');
  assert.equal(await page.getByRole('button', { name: 'Open door' }).isVisible(), false, 'not before the answer');
  await press('answer');
  const button = page.getByRole('button', { name: 'Open door' });
  await button.waitFor();
  for (let i = 0; i < 10 && (await page.evaluate(() => document.querySelector('intercom-screens').shadowRoot.activeElement?.dataset.do)) !== 'door'; i++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('status').filter({ hasText: 'The door is open' }).waitFor();
  await opened();
  await look('door-open');
  await shut();
  await page.evaluate(() => { window.client.current.openDoor = () => Promise.resolve({ from: 'front_door', result: 'refused', reason: 'locked' }); }); // a double: its case cannot be opened here
  await button.click();
  await page.getByText('The door was not opened: the station is locked because its case was opened.').waitFor();
  await look('door-refused');
  await press('hangup');
  await page.getByText('Call ended').waitFor();
  assert.equal(await button.isVisible(), false);
  await phase('idle');
});

test('who may not open the door has no button, and is refused with the reason', async () => {
  for (const [cuid, why] of [['unlisted_web', { result: 'refused', reason: 'not_allowed' }], ['barred_web', { code: 'ERR_NOT_ALLOWED' }], ['nobody_web', { code: 'ERR_NOT_ALLOWED' }]]) {
    const other = await open(browser, '/screens.html');
    await other.evaluate(async ([url, apikey, cuid]) => {
      window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid });
      window.client.call('front_door', 'Let me in');
    }, [hub, key, cuid]);
    await phase('ringing');
    await press('answer');
    await other.getByRole('timer').filter({ hasText: '00:00:0' }).waitFor();
    const got = await other.evaluate(() => window.client.current.openDoor().catch(({ code }) => ({ code })));
    for (const [k, v] of Object.entries(why)) assert.equal(got[k], v, `${cuid}: ${JSON.stringify(got)}`);
    assert.equal(await other.getByRole('button', { name: 'Open door' }).isVisible(), false, cuid);
    const outside = await other.evaluate(() => window.client.openDoor('front_door').catch(({ code, message }) => ({ code, message })));
    assert.equal(outside.code, 'ERR_NOT_ALLOWED', JSON.stringify(outside));
    assert.equal((await door('status')).door.open, false, cuid);
    await press('hangup');
    await phase('idle');
    await other.context().close();
  }
});

test('incoming, by keyboard alone', async () => {
  await door('call', { to: 'screens_web', context: 'Somebody is at the front door' });
  await page.getByText('Incoming call').waitFor();
  await look('incoming');
  assert.equal(await page.evaluate(() => document.querySelector('intercom-screens').shadowRoot.activeElement?.dataset.do), 'answer', 'the answer is at hand');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.querySelector('intercom-screens').shadowRoot.activeElement?.dataset.do), 'end');
  await page.keyboard.press('Escape');
  await page.getByText('Call declined').waitFor();
  await over();
});

test('hostile texts and pictures are text', async () => {
  const other = await open(browser);
  await other.evaluate(async ([url, apikey, site]) => {
    const c = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'hostile_web', name: '<img src=x onerror=alert(1)>', screens: false });
    window.client = c;
    c.call('screens_web', '<script>alert(1)</script> "\'&', { initiator_image: `${site}/nothing.png` });
  }, [hub, key, site]);
  await page.getByText('<script>alert(1)</script>').waitFor();
  assert.ok(await page.getByRole('heading', { name: '<img src=x onerror=alert(1)>' }).isVisible());
  assert.equal(await page.evaluate(() => [...document.querySelector('intercom-screens').shadowRoot.querySelectorAll('script, img[src=x]')].length), 0);
  await other.evaluate(() => window.client.current.cancel());
  await page.getByText('Call cancelled').waitFor();
  await other.context().close();
});

/** png makes a grey picture of so many pixels each way. */
function png(side) {
  const chunk = (name, body) => {
    const b = Buffer.alloc(12 + body.length);
    b.writeUInt32BE(body.length);
    b.write(name, 4);
    body.copy(b, 8);
    b.writeUInt32BE(crc32(b.subarray(4, -4)), b.length - 4);
    return b;
  };
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]); // one bit of grey a pixel
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  const rows = Buffer.alloc(side * (1 + side / 8), 0xaa);
  for (let y = 0; y < side; y++) rows[y * (1 + side / 8)] = 0; // no filter
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

test('a picture of 144 million pixels stays in its frame', async () => {
  const body = png(12_000);
  await page.route('**/huge.png', (route) => route.fulfill({ contentType: 'image/png', body }));
  await page.evaluate((site) => { window.client.call('front_door', 'Huge', { receiver_image: `${site}/huge.png` }); }, site);
  const img = page.locator('intercom-screens img');
  await until('it is there', () => img.evaluate((i) => i.complete && i.naturalWidth === 12_000));
  const box = await img.boundingBox();
  assert.ok(box.width <= 100 && box.height <= 100, `${box.width} × ${box.height}`);
  await phase('ringing');
  await press('answer');
  await page.getByRole('timer').filter({ hasText: '00:00:0' }).waitFor();
  await press('hangup');
  await over();
});

test('a metered call counts down', async () => {
  await page.evaluate(() => window.client.call('front_door', 'Metered', { max_duration_ms: 11_500 }));
  await phase('ringing');
  await press('answer');
  await page.getByText(/00:00:0\d · 00:00:\d\d left/).waitFor();
  await look('metered');
  await press('hangup');
  await over();
});

test('from right to left, in another language', async () => {
  await page.evaluate(async ([url, apikey]) => {
    await window.client.logout();
    document.documentElement.dir = 'rtl';
    window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'rtl_web', screens: { texts: { incoming: 'מתקשרים אליך', answer: 'לענות', decline: 'לדחות' } } });
  }, [hub, key]);
  await door('call', { to: 'rtl_web', context: 'מישהו בדלת' });
  await page.getByText('מתקשרים אליך').waitFor();
  await look('rtl');
  await page.getByRole('button', { name: 'לדחות' }).click();
  await over();
});

test('a hidden tab says so in its title, and by a notification', async () => {
  const other = await page.context().newPage(); // in front of ours
  await other.bringToFront();
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { value: true, configurable: true });
    window.notes = [];
    window.Notification = class { // a double: a browser without a screen shows none
      static permission = 'granted';
      constructor(title, { body }) { window.notes.push(`${title}: ${body}`); }
      close() { window.notes.push('closed'); }
    };
  });
  await door('call', { to: 'rtl_web', context: 'Hidden' });
  await until('the title', async () => (await page.title()).includes('Front door'));
  assert.equal((await page.evaluate(() => window.notes))[0], 'מתקשרים אליך: Hidden');
  await press('hangup');
  await until('it is closed', () => page.evaluate(() => window.notes[1] === 'closed'));
  await until('the title as it was', async () => (await page.title()) === 'Screens');
});
