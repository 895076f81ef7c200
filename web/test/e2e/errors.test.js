// Each error of the contract, provoked for real.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, door, hub, hubDoes, key, open, site, until } from './stage.js';

let browser, page;
const analytics = 'window.analytics = { event: { push() {} }, getCleverTapID: () => "id", getAccountID: () => "account" }';

before(async () => {
  browser = await browse();
  page = await open(browser);
  await page.evaluate(analytics);
});
after(() => browser?.close());

/** init gives the code with which initDirectCall rejects; options are an expression. */
const init = (options, on = page) => on.evaluate(async ([options, hub, key]) => {
  const good = { accountId: 'demo', apikey: key, cuid: 'errors_web', clevertap: window.analytics, url: hub, screens: false };
  try {
    window.client = await window.sdk.initDirectCall(new Function('good', `return ${options}`)(good));
    return 'signed in';
  } catch (err) {
    if (!(err instanceof Error) || typeof err.message !== 'string') return `no error: ${err}`;
    return err.code;
  }
}, [options, hub, key]);

/** call gives what a call ends with. */
const call = (args, on = page) => on.evaluate((args) => new Function(`return window.client.call(${args})`)().then((v) => `resolved ${v}`, (e) => e.code ?? e), args);

test('init: every option, wrong in every way', async () => {
  await Promise.all([ // at once, since four take their time
    ['undefined', 'ERR_CLEVERTAP_DETAILS_NOT_FOUND'], ['null', 'ERR_CLEVERTAP_DETAILS_NOT_FOUND'], ['{...good, clevertap: undefined}', 'ERR_CLEVERTAP_DETAILS_NOT_FOUND'],
    ['{...good, clevertap: 7}', 'ERR_CLEVERTAP_DETAILS_NOT_FOUND'],
    ['{...good, clevertap: {...good.clevertap, getAccountID: () => ""}}', 'ERR_MISSING_CT_ACCOUNTID'], ['{...good, clevertap: {...good.clevertap, getCleverTapID: () => null}}', 'ERR_MISSING_CT_ID'],
    ['{...good, accountId: undefined}', 'ERR_MISSING_INITPARAMETERS'], ['{...good, apikey: ""}', 'ERR_MISSING_INITPARAMETERS'], ['{...good, cuid: null}', 'ERR_MISSING_INITPARAMETERS'],
    ['{...good, accountId: 5}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, apikey: {}}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, apikey: "x".repeat(500)}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, cuid: "91_8899555"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, cuid: "<img src=x>"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, cuid: ["a"]}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, name: "ab"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, name: 5}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, name: "x".repeat(51)}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, ringtone: "javascript:alert(1)"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, ringtone: 5}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, url: "ftp://example.org"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, url: "hub.example.org"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, url: "127.0.0.1:9"}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, screens: "none"}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, screens: {parent: "#id"}}', 'ERR_INVALID_INITPARAMETERS'], ['{...good, screens: {dir: "up"}}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, clevertap: {...good.clevertap, getAccountID() { throw new Error("not started"); }}}', 'ERR_MISSING_CT_ACCOUNTID'], ['{...good, url: 5}', 'ERR_INVALID_INITPARAMETERS'],
    ['{...good, accountId: "nobody"}', 'ERR_INVALID_CREDENTIALS'], ['{...good, apikey: "ik_wrong"}', 'ERR_INVALID_CREDENTIALS'],
    ['{...good, cuid: "front_door"}', 'ERR_ALREADY_SIGNEDIN'], ['{...good, url: "http://127.0.0.1:9"}', 'ERR_INTERNET_LOST'],
  ].map(async ([options, code]) => assert.equal(await init(options), code, options)));
  assert.equal(await page.evaluate(() => document.querySelector('img')), null, 'nothing became markup');
});

test('an analytics instance that tells nothing of itself is good enough', async () => {
  assert.equal(await init('{...good, cuid: "plain_web", clevertap: {}}'), 'signed in');
  await page.evaluate(() => window.client.logout());
});

test('call: every parameter, wrong in every way', async () => {
  assert.equal(await init('good'), 'signed in');
  for (const args of ['', 'undefined, "x"', '"door-1", "x"', '5, "x"', '{}, "x"', '"errors_web", "x"', '"front_door"', '"front_door", ""', '"front_door", 5', '"front_door", "x".repeat(65)', '"front_door", "a\\u0000b"',
    '"front_door", "x", 5', '"front_door", "x", {receiver_image: "javascript:alert(1)"}', '"front_door", "x", {initiator_image: "data:text/html,x"}', '"front_door", "x", {initiator_image: "https://x/" + "y".repeat(3000)}']) {
    assert.equal(await call(args), 'ERR_INVALID_CALL_PARAMETERS', args);
  }
});

test('cuids of digits, and with underscores anywhere, call one another', async () => {
  const all = ['8899555123', '_abcd', 'a__bc', 'abcd_', '__proto__', 'constructor'];
  const ends = await page.evaluate(async ([all, url, apikey]) => {
    const clients = await Promise.all(all.map((cuid) => window.sdk.connect({ url, account: 'demo', apikey, cuid, tabs: false, screens: false })));
    const ends = [];
    for (const [i, caller] of clients.entries()) {
      const callee = clients[(i + 1) % all.length];
      const over = new Promise((ok) => { // for the one called too
        const off = callee.on('incoming', (call) => {
          off();
          call.decline();
          ok(call.result);
        });
      });
      const { status, reason, from, to } = await caller.call(callee.cuid, 'x').result;
      ends.push([from, to, status, reason]);
      await over;
    }
    for (const c of clients) c.logout();
    return ends;
  }, [all, hub, key]);
  assert.deepEqual(ends, all.map((from, i) => [from, all[(i + 1) % all.length], 'declined', 'declined']));
});

test('offline', async () => {
  assert.equal(await call('"nobody_here", "x"'), '404');
});

test('a busy callee declines, as the contract has it', async () => {
  const other = await open(browser);
  await other.evaluate(analytics);
  assert.equal(await init('{...good, cuid: "other_web"}', other), 'signed in');
  const first = call('"front_door", "x"', other);
  await until('it rings', async () => (await door('status')).phase === 'ringing');
  assert.equal(await call('"front_door", "x"'), 'declined');
  await other.evaluate(() => window.client.cancel());
  assert.equal(await first, 'cancelled');
  await other.context().close();
});

test('a microphone that is denied: to the caller, and by the one called', async () => {
  const deaf = await browse({ allow: false, args: ['--deny-permission-prompts'] });
  try {
    const page = await open(deaf);
    await page.evaluate(analytics);
    assert.equal(await init('{...good, cuid: "deaf_web"}', page), 'signed in');
    assert.equal(await call('"front_door", "x"', page), 'ERR_MIC_UNAVAILABLE');
    assert.equal((await door('status')).phase, 'idle', 'nobody was rung');
    await page.evaluate(async ([url, apikey]) => {
      await window.client.logout();
      const c = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'deaf_web', screens: false });
      c.on('incoming', (call) => { call.answer(); });
    }, [hub, key]);
    await door('call', { to: 'deaf_web', context: 'x' });
    const last = await until('its end', async () => (await door('status')).last_call?.to === 'deaf_web' && (await door('status')).last_call);
    assert.equal(`${last.status}/${last.reason}`, 'declined/mic_unavailable');
  } finally {
    await deaf.close();
  }
});

test('a callee without microphone declines, as the contract has it', async () => {
  const deaf = await browse({ allow: false, args: ['--deny-permission-prompts'] });
  try {
    const page2 = await open(deaf);
    await page2.evaluate(async ([url, apikey]) => {
      const c = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'mute_web', screens: false });
      c.on('incoming', (call) => { call.answer(); });
    }, [hub, key]);
    assert.equal(await call('"mute_web", "x"'), 'declined');
    assert.deepEqual(await page.evaluate(async ([url, apikey]) => { // while connect keeps the reason
      const c = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'keen_web', screens: false });
      const { status, reason, error } = await c.call('mute_web', 'x').result;
      await c.logout();
      return [status, reason, error.code];
    }, [hub, key]), ['declined', 'mic_unavailable', 'ERR_MIC_UNAVAILABLE']);
  } finally {
    await deaf.close();
  }
});

test('an analytics id that comes late is waited for', async () => {
  assert.equal(await page.evaluate(async ([url, apikey]) => {
    let id;
    setTimeout(() => { id = 'late'; }, 1500);
    const clevertap = { event: { push() {} }, getCleverTapID: () => id, getAccountID: () => { if (!id) throw new Error('not started'); return 'account'; } };
    const client = await window.sdk.initDirectCall({ accountId: 'demo', apikey, cuid: 'late_web', clevertap, url, screens: false });
    const { enabled, id: got } = { enabled: client.isEnabled(), id };
    await client.logout();
    return `${enabled} ${got}`;
  }, [hub, key]), 'true late');
});

test('after the sign-out everything says so', async () => {
  const said = await page.evaluate(async ([url, apikey]) => {
    const all = [];
    const note = async (f) => { try { all.push(`${await f()}`); } catch (err) { all.push(`${err.code} ${err.retryable} ${err.message}`); } };
    const client = window.client;
    await client.logout();
    await note(() => client.call('front_door', 'x'));
    await note(() => client.call('', ''));
    client.hangup(), client.cancel(), client.isEnabled();
    await client.logout();
    const c = await window.sdk.connect({ url, account: 'demo', apikey, cuid: 'gone_web', screens: false });
    const asked = note(() => c.identify('front_door')); // while it is not answered yet
    await c.logout();
    await asked;
    await note(() => c.identify('front_door'));
    await note(() => c.call('front_door', 'x'));
    return all;
  }, [hub, key]);
  assert.equal(said.length, 5);
  for (const one of said) assert.match(one, /^ERR_CONNECTION_NOT_ESTABLISHED false This client has signed out/);
  assert.equal(await page.evaluate(() => window.client.isEnabled()), false);
});

test('screens that cannot be loaded are told, and nothing stays signed in', async () => {
  const context = await browser.newContext();
  const other = await context.newPage();
  // One that is not readable is not asked for again; load.test.js has those that are.
  await other.route('**/sdk/screens.js', (route) => route.fulfill({ contentType: 'text/javascript', headers: { 'access-control-allow-origin': '*' }, body: '(' }));
  await other.goto(site);
  await other.evaluate(async (hub) => { window.sdk = await import(`${hub}/sdk/intercom.js`); }, hub);
  await other.evaluate(analytics);
  assert.equal(await init('{...good, cuid: "bare_web", screens: true}', other), 'ERR_INTERNET_LOST');
  assert.equal(await init('good'), 'signed in');
  assert.equal(await call('"bare_web", "x"'), '404');
  await page.evaluate(() => window.client.logout());
  assert.equal(await init('{...good, cuid: "bare_web"}', other), 'signed in');
  await context.close();
});

test('the hub is lost while it rings', async () => {
  assert.equal(await init('good'), 'signed in');
  const lost = call('"front_door", "x"');
  await until('it rings', async () => (await door('status')).phase === 'ringing');
  await hubDoes('kill');
  try {
    assert.equal(await lost, 'ERR_INTERNET_LOST');
    assert.equal(await page.evaluate(() => window.client.isEnabled()), false);
    assert.equal(await call('"front_door", "x"'), 'ERR_INTERNET_LOST');
  } finally {
    await hubDoes('up');
  }
  await until('both are back', async () => (await door('status')).hub.online && page.evaluate(() => window.client.isEnabled()));
});

test('a page of a site that is not listed is refused', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.replace('127.0.0.1', 'localhost'));
  await page.evaluate(async (hub) => { window.sdk = await import(`${hub}/sdk/intercom.js`); }, hub);
  await page.evaluate(analytics);
  assert.equal(await init('{...good, cuid: "evil_web"}', page), 'ERR_INTERNET_LOST');
  await context.close();
});
