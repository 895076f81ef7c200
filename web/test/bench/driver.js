// Drives one browser for cmd/intercom-lab, which measures what is heard: one command a line, as JSON on standard input, and
// one reply a line. The first line opens the browser.

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

let browser, page;

const commands = {
  /** open signs in: {hub, key, cuid, server, source, sink} */
  async open({ hub, key, cuid, server, source, sink }) {
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium', headless: true, ignoreDefaultArgs: ['--mute-audio'],
      args: ['--no-sandbox', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required', `--unsafely-treat-insecure-origin-as-secure=${hub}`],
      env: { ...process.env, PULSE_SERVER: server, PULSE_SOURCE: source, PULSE_SINK: sink },
    });
    page = await (await browser.newContext()).newPage();
    await page.addInitScript(() => { // the SDK does not show its connection
      const Real = window.RTCPeerConnection;
      let last;
      window.RTCPeerConnection = class extends Real {
        constructor(...args) { super(...args); last = this; }
      };
      window.received = async () => [...(await last.getStats()).values()].find((s) => s.type === 'inbound-rtp')?.packetsReceived ?? 0;
    });
    await page.goto(`${hub}/setup`);
    await page.evaluate(async ([account, apikey, cuid]) => {
      const { connect } = await import('/sdk/intercom.js');
      window.client = await connect({ account, apikey, cuid, screens: false });
      window.client.on('call', (call) => { window.call = call; });
    }, ['demo', key, cuid]);
  },
  /** call places a call by a click, and gives when that was, in milliseconds since the epoch. */
  call: ({ to }) => page.evaluate((to) => new Promise((ok) => {
    const button = document.createElement('button');
    button.onclick = () => {
      const at = performance.timeOrigin + performance.now();
      window.client.call(to, 'Measuring');
      ok(at);
    };
    button.click();
  }), to),
  /** state waits for the call to be in a state. */
  state: ({ state }) => page.waitForFunction((s) => window.call?.state === s, state, { timeout: 20_000, polling: 10 }).then(() => null),
  /** received gives how many packets of the voice have come. */
  received: () => page.evaluate(() => window.received()),
  answer: () => page.evaluate(() => { window.call.answer(); }),
  hangup: () => page.evaluate(async () => { window.call?.hangup(); await window.call?.result; window.call = undefined; }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, ...args } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: (await commands[what](args)) ?? null }));
  } catch (err) {
    console.log(JSON.stringify({ error: String(err) }));
  }
}
await browser?.close();
