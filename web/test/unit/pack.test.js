// The package: what npm packs of the SDK, installed from its file by a TypeScript project, which is checked strictly.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const sdk = new URL('../../sdk/', import.meta.url).pathname;
const modules = new URL('../../node_modules/', import.meta.url).pathname;
const tsc = join(modules, 'typescript/bin/tsc');
const at = mkdtempSync(join(tmpdir(), 'intercom-sdk-'));
after(() => rmSync(at, { recursive: true, force: true }));

/** run gives what a program says, or fails with it. */
function run(dir, program, ...args) {
  try {
    return execFileSync(program, args, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (err) {
    throw new Error(`${program} ${args.join(' ')}:\n${err.stdout}${err.stderr}`, { cause: err });
  }
}

before(() => {
  writeFileSync(join(at, 'package.json'), '{"name": "shop", "private": true, "type": "module"}');
  const [{ filename, files }] = JSON.parse(run(sdk, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', at));
  assert.ok(files.some((f) => f.path === 'types/intercom.d.ts'));
  assert.ok(!files.some((f) => f.path === 'tsconfig.json'), 'and nothing that is ours alone');
  run(at, 'npm', 'install', '--silent', '--no-audit', '--no-fund', '--offline', `./${filename}`);
});

/** check has a program checked in that project, which finds packages as bundlers do, or as Node.js does. */
function check(program, module = 'esnext', moduleResolution = 'bundler') {
  writeFileSync(join(at, 'shop.ts'), program);
  writeFileSync(join(at, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { strict: true, noEmit: true, skipLibCheck: false, target: 'es2022', module, moduleResolution, lib: ['es2022', 'dom', 'dom.iterable'], types: [] },
    files: ['shop.ts'],
  }));
  run(at, process.execPath, tsc, '-p', '.');
}

test('the package is installed from its file, and its types are right', () => {
  const program = `
    import { connect, DirectCallClient, initDirectCall, initSignedCall, IntercomError, SignedCallClient } from 'intercom-sdk';
    import type { Call, Client, Outcome } from 'intercom-sdk';
    import { show } from 'intercom-sdk/screens';

    declare const clevertap: any;
    const contract: DirectCallClient = await initDirectCall({ accountId: 'a', apikey: 'k', cuid: 'org_25', clevertap, name: 'The shop', ringtone: 'https://example.org/r.ogg' });
    const successor: SignedCallClient = await initSignedCall({ accountId: 'a', apikey: 'k', cuid: 'org_25', clevertap });
    const same: DirectCallClient = successor;
    const enabled: boolean = contract.isEnabled();
    const over: 'over' = await contract.call('receiver', 'context', { receiver_image: '', initiator_image: '' });
    contract.hangup();
    contract.cancel();
    await contract.logout();

    const client: Client = await connect({ url: 'https://hub.example.org', token: async () => 't', cuid: 'reception', screens: { dir: 'rtl' } });
    client.on('incoming', (call: Call) => call.answer());
    const end: Outcome = await client.call(['front_door', 'garden_gate'], 'context', { mode: 'sequence', each_ms: 15000 }).result;
    const status: 'over' | 'declined' | 'missed' | 'cancelled' | 'failed' = end.status;
    const code: string | undefined = end.error instanceof IntercomError ? end.error.code : undefined;
    show(client, { parent: document.body });
    export { code, enabled, over, same, status };
  `;
  check(program);
  check(program, 'nodenext', 'nodenext');
  for (const [wrong, why] of [
    [`import { initDirectCall } from 'intercom-sdk'; await initDirectCall({ accountId: 'a', apikey: 'k', clevertap: {} });`, /'cuid' is missing/],
    [`import { initDirectCall } from 'intercom-sdk'; const c = await initDirectCall({ accountId: 'a', apikey: 'k', cuid: 'c', clevertap: {} }); c.call('x');`, /Expected 2-3 arguments/],
    [`import { initDirectCall } from 'intercom-sdk'; const c = await initDirectCall({ accountId: 'a', apikey: 'k', cuid: 'c', clevertap: {} }); c.call('x', 'y', { reciever_image: '' });`, /reciever_image/],
    [`import { connect } from 'intercom-sdk'; const c = await connect({ cuid: 'c' }); c.nothing();`, /'nothing' does not exist/],
  ]) assert.throws(() => check(`${wrong}\nexport {};`), why);
});

test('the package is imported where there is no browser, as by what renders pages on a server', () => {
  const said = run(at, process.execPath, '--input-type=module', '--eval',
    `const { initDirectCall } = await import('intercom-sdk'); await initDirectCall({}).catch((err) => console.log(err.code));`);
  assert.equal(said.trim(), 'ERR_CLEVERTAP_DETAILS_NOT_FOUND');
});

test('the types that are served are those of the code', () => {
  const now = join(at, 'types');
  run(sdk, process.execPath, tsc, '-p', '.', '--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', now);
  const all = (dir) => Object.fromEntries(readdirSync(dir).map((f) => [f, readFileSync(join(dir, f), 'utf8')]));
  assert.deepEqual(all(join(sdk, 'types')), all(now), "run 'make generate'");
});
