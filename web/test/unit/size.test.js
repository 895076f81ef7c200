// The SDK stays small: what a page loads of it, minified and compressed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const src = new URL('../../sdk/src/', import.meta.url).pathname;

async function size(entry, external) {
  const { outputFiles } = await build({ entryPoints: [`${src}${entry}`], bundle: true, minify: true, format: 'esm', write: false, external });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

test('without screens at most 15 KB, with them at most 30', async () => {
  const bare = await size('intercom.js', ['./screens.js']);
  const whole = bare + await size('screens.js', []);
  console.log(`# ${bare} bytes, ${whole} with screens`);
  assert.ok(bare <= 15_000, `${bare} bytes`);
  assert.ok(whole <= 30_000, `${whole} bytes`);
});
