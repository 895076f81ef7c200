// What the console says is in its texts.js: nothing that people read is written elsewhere, and nothing there is unused.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import ts from 'typescript';
import { fill, texts } from '../../console/texts.js';

const folder = new URL('../../console/', import.meta.url);
const files = readdirSync(folder).filter((f) => f.endsWith('.js') && f !== 'texts.js');
const sources = Object.fromEntries(files.map((f) => [f, readFileSync(new URL(f, folder), 'utf8')]));

test('no markup of the console has words of its own', () => {
  for (const [file, source] of Object.entries(sources)) {
    const walk = (node) => {
      if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'html') {
        const { template } = node;
        const parts = ts.isNoSubstitutionTemplateLiteral(template) ? [template.text] : [template.head.text, ...template.templateSpans.map((s) => s.literal.text)];
        const markup = parts.join('\u0000'); // where values are
        const words = markup.replace(/<[^>]*>/g, ' ').match(/\p{L}+/u) ?? markup.match(/ (?:title|alt|placeholder|aria-label)="[^"]*\p{L}[^"]*"/u);
        assert.equal(words?.[0], undefined, file);
      }
      ts.forEachChild(node, walk);
    };
    walk(ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true));
  }
});

test('every text of the console is used, and there', () => {
  const all = Object.values(sources).join('\n');
  const named = new Set([...all.matchAll(/texts\.(\w+)/g)].map((m) => m[1]));
  const chosen = ['microphone', 'speaker', 'ringer', 'operator', 'administrator', 'parallel', 'sequence']; // by a value: texts[kind]
  for (const name of Object.keys(texts)) assert.ok(named.has(name) || chosen.includes(name), `${name} is used nowhere`);
  for (const name of named) assert.ok(name === 'js' || texts[name], `${name} is not in texts.js`);
});

test('fill puts values in, and leaves what has none', () => {
  assert.equal(fill('{a} and {b}', { a: '$& <b>' }), '$& <b> and {b}');
});
