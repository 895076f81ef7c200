// The oldest browsers that run the SDK are derived: TypeScript tells which members of the browser's interfaces the SDK uses,
// and MDN's compatibility data since when each browser has them.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import bcd from '@mdn/browser-compat-data' with { type: 'json' };
import { build, transform } from 'esbuild';
import ts from 'typescript';

const folder = new URL('../../sdk/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder), 'utf8');
const files = readdirSync(new URL('src', folder)).map((f) => `src/${f}`);

/** oldest is what README.md states: the first row is the name of a browser, the second its version. */
const oldest = Object.fromEntries([...read('README.md').matchAll(/^\| (Chrome|Edge|Opera|Firefox|Safari) \| ([\d.]+) \|$/gm)].map((m) => [m[1].toLowerCase(), Number(m[2])]));

/** What the SDK uses all the same, and why that is no matter. */
const newer = {
  'HTMLMediaElement.setSinkId': 'asked for first: no choice of loudspeaker',
  'RTCRtpReceiver.jitterBufferTarget': 'asked for first: the browser\'s own delay',
  'HTMLMediaElement.srcObject': 'incomplete for other things than a MediaStream',
  'MediaDevices.enumerateDevices': 'incomplete in Firefox before 116: no loudspeakers, which it cannot choose either',
  'CustomElementRegistry.get': 'incomplete in Safari: not for elements that extend built-in ones',
  'CSS outline': 'incomplete: it does not follow round corners',
  '@media forced-colors': 'looks: high contrast',
};

/** uses gives the members of the browser's and the language's interfaces that the SDK uses, as Interface.member. */
function uses() {
  const config = ts.parseJsonConfigFileContent(ts.readConfigFile(new URL('tsconfig.json', folder).pathname, ts.sys.readFile).config, ts.sys, folder.pathname);
  const program = ts.createProgram(config.fileNames, config.options);
  const checker = program.getTypeChecker();
  const used = new Set();
  const note = (node) => {
    for (const d of checker.getSymbolAtLocation(node)?.declarations ?? []) {
      if (!/typescript\/lib\/lib\./.test(d.getSourceFile().fileName)) continue;
      const owner = d.parent?.name?.text;
      if (ts.isVariableDeclaration(d) || ts.isInterfaceDeclaration(d)) used.add(d.name.text);
      else if (owner) used.add(`${owner.replace(/(Constructor|EventHandlers|EventMap)$/, '')}.${d.name.text}`);
    }
  };
  const walk = (node) => {
    if (ts.isIdentifier(node)) note(node);
    ts.forEachChild(node, walk);
  };
  for (const f of program.getSourceFiles()) if (f.fileName.startsWith(folder.pathname)) walk(f);
  return used;
}

/** since is the first version of a browser that has something for good; undefined where the data does not say. */
function since(compat, browser) {
  const all = [compat?.support?.[browser] ?? []].flat();
  const good = all.filter((s) => s.version_added && s.version_added !== 'preview' && !s.version_removed && !s.flags && !s.prefix && !s.alternative_name && !s.partial_implementation);
  if (good.length) return Math.min(...good.map((s) => parseFloat(s.version_added.replace('≤', ''))));
  return all.length ? Infinity : undefined;
}

/** known are the things that the data knows of those used, with their support. */
function known() {
  const all = [];
  for (const name of uses()) {
    const [owner, member] = name.split('.');
    for (const group of [bcd.api, bcd.javascript.builtins]) {
      const compat = member ? group[owner]?.[member]?.__compat : group[owner]?.__compat;
      if (compat) all.push([name, compat]);
    }
  }
  const css = /const style = `([^`]*)`/.exec(read('src/screens.js'))[1];
  for (const [, property] of css.matchAll(/[{;]\s*([a-z-]+):/g)) {
    const compat = bcd.css.properties[property]?.__compat;
    if (compat) all.push([`CSS ${property}`, compat]);
  }
  for (const [, rule] of css.matchAll(/@media \(([a-z-]+)/g)) {
    const compat = bcd.css['at-rules'].media[rule]?.__compat;
    if (compat) all.push([`@media ${rule}`, compat]);
  }
  for (const [, fn] of css.matchAll(/[ (]([a-z-]+)\(/g)) {
    const compat = bcd.css.types[fn]?.__compat ?? bcd.css.types.color?.[fn]?.__compat;
    if (compat) all.push([`CSS ${fn}()`, compat]);
  }
  return all;
}

test('README.md states the oldest browsers in which all that the SDK uses is there', async () => {
  assert.deepEqual(Object.keys(oldest).sort(), ['chrome', 'edge', 'firefox', 'opera', 'safari']);
  const things = known();
  for (const must of ['RTCPeerConnection.connectionState', 'CSSStyleSheet.replaceSync', 'String.replaceAll', 'CSS inset']) assert.ok(things.some(([name]) => name === must), `${must} is not seen`);
  for (const [browser, stated] of Object.entries(oldest)) {
    const late = things.map(([name, compat]) => [name, since(compat, browser)]).filter(([name, v]) => v > stated && !newer[name]);
    assert.deepEqual(late, [], `${browser} ${stated} lacks these`);
    assert.equal(Math.max(...things.filter(([name]) => !newer[name]).map(([, compat]) => since(compat, browser) ?? 0)), stated, `${browser}: older ones have all of it`);
  }
  const target = Object.entries(oldest).map(([b, v]) => `${b}${v}`);
  const supported = { 'optional-chain': true }; // esbuild avoids it before Chrome 91 for an error with spread arguments, which we do not write
  for (const f of files) { // nothing would have to be written in another way
    const [now, then] = await Promise.all([['esnext'], target].map((target) => transform(read(f), { target, supported, minifyWhitespace: true })));
    assert.equal(then.code, now.code, `${f} has syntax that is too new`);
  }
});

test('the check is read by every browser, and asks for no less than README.md states', async () => {
  const source = read('src/browser.js');
  const es5 = ts.transpileModule(source, { compilerOptions: { target: 'ES5', removeComments: false }, reportDiagnostics: true });
  assert.equal(es5.outputText.replace('"use strict";', '').replace(/\s/g, ''), source.replace(/\s/g, ''), 'ES5 would be written in another way');
  for (const [name, version] of [['Chrome, Edge or Opera', oldest.chrome], ['Firefox', oldest.firefox], ['Safari', oldest.safari]]) assert.ok(source.includes(`${name} ${version}`), `${name} ${version}`);
  // What comes before the check: modules, and import() for what comes after it.
  const { metafile } = await build({ entryPoints: [new URL('src/intercom.js', folder).pathname], bundle: true, splitting: true, format: 'esm', outdir: 'x', write: false, metafile: true, external: ['./direct.js'] });
  const early = Object.keys(metafile.inputs).map((f) => f.slice(f.indexOf('src/')));
  assert.deepEqual(early.sort(), ['src/again.js', 'src/browser.js', 'src/direct-client.js', 'src/errors.js', 'src/intercom.js']);
  for (const f of early) {
    const [now, then] = await Promise.all(['esnext', 'es2017'].map((target) => transform(read(f), { target, supported: { 'dynamic-import': true }, minifyWhitespace: true })));
    assert.equal(then.code, now.code, `${f} has syntax that old browsers with modules cannot read`);
  }
});
