import assert from 'node:assert/strict';
import { test } from 'node:test';
import { patiently } from '../../console/patience.js';

const busy = Object.assign(new Error('busy'), { code: 'ERR_RATE_LIMITED', retry_after_ms: 3000 });

test('a hub that is busy is asked again, after the time that it names', async () => {
  const waits = [];
  let asked = 0, told = 0;
  const got = await patiently(async () => { if (++asked < 4) throw busy; return 'in'; }, () => told++, { wait: async (ms) => waits.push(ms) });
  assert.deepEqual([got, asked, told, waits.length], ['in', 4, 3, 3]);
  assert.ok(waits.every((ms) => ms >= 3000 && ms <= 6000), String(waits));
});

test('it is not asked for ever, nor again when it says no', async () => {
  let asked = 0;
  await assert.rejects(patiently(async () => { asked++; throw busy; }, () => {}, { tries: 5, wait: async () => {} }), busy);
  assert.equal(asked, 5);
  const wrong = Object.assign(new Error('wrong'), { code: 'ERR_INVALID_CREDENTIALS' });
  await assert.rejects(patiently(async () => { asked++; throw wrong; }, () => {}, {}), wrong);
  assert.equal(asked, 6);
});
