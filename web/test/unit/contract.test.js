// docs/contract.md: each fact has tests, and each test is there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

test('every test that docs/contract.md names is there, and every fact has one', () => {
  const rows = readFileSync(new URL('../../../docs/contract.md', import.meta.url), 'utf8').split('\n').filter((l) => /^\| [^-]/.test(l)).slice(1);
  assert.ok(rows.length > 30, `${rows.length} facts`);
  for (const row of rows) {
    const [fact, tests, ...more] = row.slice(2, -2).split(' | ');
    assert.ok(tests && !more.length, `not a fact and its tests: ${row}`);
    let source = '';
    for (const part of tests.split('; ')) {
      const [, file, name] = /^(?:`([\w/.]+)` )?(.+)$/.exec(part);
      if (file) source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
      assert.ok(source.includes(`\ntest('${name}', `), `${fact}: there is no test ${name}`);
    }
  }
});
