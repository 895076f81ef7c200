// What a page lives through: a ring that wants a click first, a sleep, a token that expires, a link that gets bad, another
// way through the network.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { browse, door, hears, hub, key, lose, open, press, site, until } from './stage.js';

let browser, page;
const phase = (p) => until(`the station is ${p}`, async () => (await door('status')).phase === p);

before(async () => { browser = await browse(); });
beforeEach(async () => {
  await page?.context().close();
  page = await open(browser);
  await phase('idle');
});
after(() => browser?.close());

const connect = (cuid, options = {}) => page.evaluate(async ([url, apikey, cuid, options]) => {
  window.client = await window.sdk.connect({ url, account: 'demo', apikey, cuid, screens: false, ...options });
  window.blocked = [];
  window.client.on('ring_blocked', (on) => window.blocked.push(on));
  window.client.on('call', (call) => {
    window.call = call;
    window.warnings = [];
    call.on('warning', (w) => window.warnings.push(`${w.name} ${w.on}`));
  });
}, [hub, key, cuid, options]);

test('a page that nobody has clicked on may not ring: it says so, and the first click lets it', async () => {
  // Whatever a test evaluates in a page counts as a click; this one does all by itself and says it on the console.
  const quiet = await page.context().newPage();
  const said = [];
  quiet.on('console', (m) => said.push(m.text()));
  await quiet.goto(`${site}/quiet.html?${new URLSearchParams({ hub, key, cuid: 'quiet_web' })}`);
  await until('it is signed in', () => said.includes('signed in'));
  await door('call', { to: 'quiet_web', context: 'Ring' });
  await until('it is told', () => said.includes('ring_blocked true'));
  await quiet.mouse.click(20, 20);
  assert.ok(await hears('web_spk', 659.3), 'it rings');
  assert.ok(said.includes('ring_blocked false'));
  await press('hangup');
});

test('a ringtone of its own, and one that cannot be had', async () => {
  await page.click('#click');
  await connect('tone_web', { ringtone: '/nothing.ogg' });
  await door('call', { to: 'tone_web', context: 'Ring' });
  assert.ok(await hears('web_spk', 659.3), 'it rings with the usual one');
  await press('hangup');
});

test('a page that sleeps is offline, and back when it wakes up', async () => {
  await connect('sleepy_web');
  // A browser without a screen freezes no page; this is what it would tell one.
  await page.evaluate(() => document.dispatchEvent(new Event('freeze')));
  await until('it is offline', async () => {
    await door('call', { to: 'sleepy_web', context: 'Awake?' });
    await phase('idle').catch(() => press('hangup'));
    return (await door('status')).last_call?.reason === 'offline';
  });
  await page.evaluate(() => document.dispatchEvent(new Event('resume')));
  await until('it is back', () => page.evaluate(() => window.client.isEnabled()));
});

test('a token is renewed before it expires', async () => {
  let asked = 0;
  await page.exposeFunction('mint', async () => {
    const r = await fetch(`${hub}/v1/token`, { method: 'POST', headers: { Authorization: `Bearer ${key}` }, body: JSON.stringify({ account: 'demo', cuid: 'token_web', ttl_s: asked++ ? 600 : 62 }) });
    return (await r.json()).token;
  });
  await page.evaluate(async (url) => { window.client = await window.sdk.connect({ url, cuid: 'token_web', screens: false, token: () => window.mint() }); }, hub);
  await until('another is asked for', () => asked === 2);
  assert.ok(await page.evaluate(() => window.client.isEnabled()));
});

test('by the relay only', async () => {
  await connect('relay_web', { relay: true });
  await page.evaluate(() => window.client.call('front_door', 'Relay'));
  await phase('ringing');
  await press('answer');
  await until('the route', () => page.evaluate(() => window.call.quality?.route === 'relay'), 30_000);
  assert.equal((await door('status')).quality.route, 'relay');
  await press('hangup');
});

test('a bad link is warned of, and the warning taken back', async () => {
  await connect('lossy_web');
  await page.evaluate(() => window.client.call('front_door', 'Loss'));
  await phase('ringing');
  await press('answer');
  await phase('talking');
  await lose(30);
  try {
    await until('the warning', () => page.evaluate(() => window.warnings.includes('loss true')), 30_000);
  } finally {
    await lose(0);
  }
  await until('its end', () => page.evaluate(() => window.warnings.includes('loss false')), 30_000);
  await press('hangup');
});

test('a voice that is announced just when its call is answered, or once more, is heard', async () => {
  await page.click('#click');
  await page.evaluate(async (hub) => {
    const { Media } = await import(`${hub}/sdk/media.js`);
    const { Audio: RealAudio, MediaStream: RealStream } = window;
    window.Audio = function () { return (window.heard = new RealAudio()); };
    const none = () => {};
    window.media = new Media({ servers: [], candidate: none, state: none, quality: none, warning: none, blocked: none, silent: none });
    let opened = false;
    window.MediaStream = function (tracks) { // as of the announcement
      if (!opened) window.media.open(null);
      opened = true;
      return new RealStream(tracks);
    };
    const far = new RTCPeerConnection();
    const voice = far.addTransceiver('audio');
    window.announce = async (direction) => {
      voice.direction = direction;
      await far.setLocalDescription();
      await far.setRemoteDescription({ type: 'answer', sdp: (await window.media.take(far.localDescription.sdp, '', false)).sdp });
    };
    await window.announce('sendrecv');
  }, hub);
  const plays = () => page.evaluate(() => window.heard.srcObject && !window.heard.paused);
  await until('it plays', plays);
  await page.evaluate(async () => {
    await window.announce('inactive');
    await window.announce('sendrecv');
  });
  await until('it plays again', plays);
});
