import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mos } from '../../sdk/src/media.js';
import { wav } from '../../sdk/src/tones.js';

test('a tone is a WAV file of its length', () => {
  const v = new DataView(wav([[425, 100], [0, 50]]));
  assert.equal(v.byteLength, 44 + 2 * 2400);
  assert.equal(v.getUint32(4, true), v.byteLength - 8);
  assert.equal(v.getInt16(v.byteLength - 2, true), 0);
});

test('the estimate of quality falls with delay and loss', () => {
  assert.ok(mos(50, 0) > 4.3 && mos(50, 0) < 4.5);
  assert.ok(mos(50, 0.05) < mos(50, 0.01) && mos(50, 0.01) < mos(50, 0));
  assert.ok(mos(400, 0) < mos(150, 0));
  assert.ok(mos(2000, 1) >= 1);
});
