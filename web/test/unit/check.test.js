// The rules of names, by the same table of cases as the hub's and the stations'.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkAnalytics, checkContext, checkCUID, checkImage, checkName, checkNumber, checkReceivers, checkRingtone, checkSecret, hubURL } from '../../sdk/src/check.js';
import { codes } from '../../sdk/src/errors.js';

const cases = JSON.parse(readFileSync(new URL('../../../wire/testdata/identity.json', import.meta.url)));
const passes = (f) => { try { f(); return true; } catch { return false; } };
const code = (f) => { try { f(); return ''; } catch (err) { return err.code; } };

const table = (kind, check) => { for (const { in: s, ok } of cases[kind]) assert.equal(passes(() => check(s)), ok, JSON.stringify(s)); };
test('cuids as in the table of cases', () => table('cuid', checkCUID));
test('names as in the table of cases', () => table('name', checkName));
test('contexts as in the table of cases', () => table('context', checkContext));
test('images as in the table of cases', () => table('image', (s) => checkImage('image', s)));

test('of another type', () => {
  for (const bad of [1, true, {}, [], () => {}, Symbol('x'), 5n]) {
    assert.equal(code(() => checkCUID(bad)), 'ERR_INVALID_INITPARAMETERS');
    assert.equal(code(() => checkName(bad)), 'ERR_INVALID_INITPARAMETERS');
    assert.equal(code(() => checkSecret('apikey', bad)), 'ERR_INVALID_INITPARAMETERS');
    assert.equal(code(() => checkRingtone(bad)), 'ERR_INVALID_INITPARAMETERS');
    assert.equal(code(() => hubURL(bad)), 'ERR_INVALID_INITPARAMETERS');
    assert.equal(code(() => checkContext(bad)), 'ERR_INVALID_CALL_PARAMETERS');
    assert.equal(code(() => checkImage('image', bad)), 'ERR_INVALID_CALL_PARAMETERS');
    assert.equal(code(() => checkReceivers(bad, 'door_1')), 'ERR_INVALID_CALL_PARAMETERS');
  }
  for (const none of [undefined, null, '']) {
    assert.equal(code(() => checkCUID(none)), 'ERR_MISSING_INITPARAMETERS');
    assert.equal(code(() => checkSecret('apikey', none)), 'ERR_MISSING_INITPARAMETERS');
    assert.equal(code(() => checkReceivers(none, 'door_1')), 'ERR_INVALID_CALL_PARAMETERS');
  }
});

test('to oneself, and to too many', () => {
  assert.equal(code(() => checkReceivers('door_1', 'door_1')), 'ERR_INVALID_CALL_PARAMETERS');
  assert.equal(code(() => checkReceivers(['desk_1', 'door_1'], 'door_1')), 'ERR_INVALID_CALL_PARAMETERS');
  assert.equal(code(() => checkReceivers(Array(17).fill('desk_1'), 'door_1')), 'ERR_INVALID_CALL_PARAMETERS');
  assert.equal(code(() => checkReceivers(['desk_1', 'desk_1'], 'door_1')), 'ERR_INVALID_CALL_PARAMETERS');
  assert.equal(code(() => checkReceivers(['desk_1', 'desk_2'], 'door_1')), '');
});

test('times of a call', () => {
  for (const good of [undefined, null, 0, 1000, 60_000]) assert.equal(code(() => checkNumber('each_ms', good, 1000, 60_000)), '', good);
  for (const bad of [NaN, Infinity, -1, 999, 60_001, 1000.5, '1000', true, {}]) assert.equal(code(() => checkNumber('each_ms', bad, 1000, 60_000)), 'ERR_INVALID_CALL_PARAMETERS', bad);
});

test('an analytics instance', () => {
  for (const good of [undefined, null, {}, () => {}]) assert.equal(code(() => checkAnalytics(good)), '');
  for (const bad of [1, 'x', true]) assert.equal(code(() => checkAnalytics(bad)), 'ERR_INVALID_INITPARAMETERS');
});

test('addresses', () => {
  assert.equal(hubURL('https://hub.example.org'), 'wss://hub.example.org/v1/ws');
  assert.equal(hubURL('http://127.0.0.1:8443/'), 'ws://127.0.0.1:8443/v1/ws');
  assert.equal(hubURL('wss://hub.example.org/hub/ws'), 'wss://hub.example.org/hub/ws');
  assert.equal(hubURL('https://hub.example.org/#/calls'), 'wss://hub.example.org/v1/ws');
  for (const bad of ['javascript:alert(1)', 'ftp://x.org', 'hub', 'https://', '//hub.example.org', '/v1/ws', '', 'null']) assert.equal(code(() => hubURL(bad)), 'ERR_INVALID_INITPARAMETERS', bad);
  for (const bare of ['hub.example.org', 'hub.example.org:8443', 'localhost:8080', 'hub', '192.0.2.1', 'hub.example.org/v1/ws']) {
    assert.throws(() => hubURL(bare), { code: 'ERR_INVALID_INITPARAMETERS', field: 'url', message: `The url has no scheme; write https://${bare}.` });
  }
  assert.equal(code(() => checkRingtone('javascript:alert(1)')), 'ERR_INVALID_INITPARAMETERS');
  assert.equal(code(() => checkRingtone('https://example.org/ring.ogg')), '');
});

test('every code of docs/errors.md is known', () => {
  const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const all = [...text.matchAll(/^\| `(ERR_[A-Z_]+|404)`/gm)].map((m) => m[1]);
  assert.deepEqual(Object.keys(codes).sort(), [...new Set(all)].sort());
});
