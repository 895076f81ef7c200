// What the tests stand on: the stage that web/browser_test.go has set up, browsers on it, and ears.

import { execFile, spawn } from 'node:child_process';
import http from 'node:http';
import { afterEach } from 'node:test';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

export const { HUB: hub, KEY: key, SITE: site, DOOR: socket, PULSE_SERVER: server } = process.env;

const run = promisify(execFile);

/** door asks the station, or the one of another control socket, which speaks HTTP. */
export function door(path, body, at = socket) {
  return new Promise((ok, fail) => {
    const r = http.request({ socketPath: at, path: `/v1/${path}`, method: body ? 'POST' : 'GET', headers: { 'Content-Type': 'application/json' } }, (res) => {
      let text = '';
      res.on('data', (b) => { text += b; });
      res.on('end', () => { try { ok(JSON.parse(text)); } catch { ok(text); } });
    });
    r.on('error', fail);
    r.end(body && JSON.stringify(body));
  });
}

/** press presses a button of the station. */
export const press = (button, hold_ms = 60) => door('press', { button, hold_ms });

async function have(what) {
  const r = await fetch(`${site}/${what}`, { method: 'POST' });
  if (!r.ok) throw new Error(await r.text());
}

/** hubDoes has something done to the hub: kill, freeze, thaw, up. */
export const hubDoes = (what) => have(`hub/${what}`);

/** mic has the second microphone unplugged, or plugged in again: unplug, plug. */
export const mic = (what) => have(`mic/${what}`);

/** cut has the network away for a time like 5s; it is gone soon after this. */
export const cut = (time) => have(`net/cut?for=${time}`);

/** lose has so many percent of the voices' packets lost. */
export const lose = (percent) => have(`net/lose?percent=${percent}`);

/** until waits for something to be so. */
export async function until(what, so, limit = 20_000) {
  for (const end = Date.now() + limit; ;) {
    const v = await so();
    if (v) return v;
    if (Date.now() > end) throw new Error(`not within ${limit / 1000} s: ${what}`);
    await new Promise((r) => setTimeout(r, 25));
  }
}

/** browse starts Chromium, whose microphone and loudspeaker are sinks of the stage. */
export function browse({ mic = 'web_mic_in', speaker = 'web_spk', args = [], allow = true, env = {} } = {}) {
  return chromium.launch({
    executablePath: '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', ...(allow ? ['--use-fake-ui-for-media-stream'] : []), ...args],
    ignoreDefaultArgs: ['--mute-audio'],
    env: { ...process.env, PULSE_SERVER: server, PULSE_SOURCE: mic, PULSE_SINK: speaker, ...env },
  });
}

/** open opens a page of another site, and gives it the SDK as window.sdk. */
export async function open(browser, path = '/') {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('console', (m) => { if (['warning', 'error'].includes(m.type())) console.log(`page: ${m.text()}`); });
  page.on('pageerror', (err) => console.log(`page: ${err}`));
  await page.goto(site + path);
  await page.evaluate(async (hub) => { window.sdk = await import(`${hub}/sdk/intercom.js`); }, hub);
  return page;
}

const rate = 48000;

const singing = new Set();
afterEach(() => { for (const stop of singing) stop(); }); // also of a test that fails

/** sing plays a tone into a sink until stop, or the end of the test. */
export function sing(sink, hz) {
  const p = spawn('pacat', ['--playback', '--raw', '--format=float32le', '--channels=1', `--rate=${rate}`, '--latency-msec=20', `--device=${sink}`], { stdio: ['pipe', 'ignore', 'ignore'] });
  let n = 0;
  const tone = new Readable({
    read() {
      const block = new Float32Array(rate / 10);
      for (let i = 0; i < block.length; i++) block[i] = 0.3 * Math.sin((2 * Math.PI * hz * n++) / rate);
      this.push(Buffer.from(block.buffer));
    },
  });
  tone.pipe(p.stdin).on('error', () => {});
  const stop = () => {
    singing.delete(stop);
    tone.destroy();
    p.kill();
  };
  singing.add(stop);
  return stop;
}

/** hears listens at a sink for as long as it takes, and reports whether a tone comes within the limit. */
export async function hears(sink, hz, { limit = 8000, share = 0.5 } = {}) {
  const p = spawn('parec', ['--raw', '--format=float32le', '--channels=1', `--rate=${rate}`, '--latency-msec=20', `--device=${sink}.monitor`], { stdio: ['ignore', 'pipe', 'ignore'] });
  const timer = setTimeout(() => p.kill(), limit);
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of p.stdout) {
      rest = Buffer.concat([rest, chunk]);
      for (const size = 4 * rate / 10; rest.length >= size; rest = rest.subarray(size)) { // 100 ms
        if (loudness(new Float32Array(new Uint8Array(rest.subarray(0, size)).buffer), hz) > share) return true;
      }
    }
    return false;
  } finally {
    clearTimeout(timer);
    p.kill();
  }
}

/** loudness is the share of a tone in a block, 0 for one that is silent. */
function loudness(x, hz) {
  let re = 0, im = 0, all = 0;
  x.forEach((v, i) => {
    const a = (2 * Math.PI * hz * i) / rate;
    re += v * Math.cos(a), im += v * Math.sin(a), all += v * v;
  });
  return all / x.length > 1e-5 ? (2 * (re * re + im * im)) / x.length / all : 0;
}

export { run };
