/**
 * Tests recipes and model configs with their problems written below the bad values. A title starts with the file name under which the text
 * is read, and may end with the free memory or with the daemon's location. UPDATE_FIXTURES=1 rewrites the notes; read the diff before you
 * commit it.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { configCodes } from '../../../trainer/lint/problems/config-codes.ts';
import { factCodes } from '../../../trainer/lint/problems/fact-report.ts';
import { createRandom } from '../../../trainer/random.ts';
import { checkFixture, lint, makeWorkspace, type ViewOptions } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixtures: { readonly title: string; readonly body: string }[] = [];

for (const name of ['recipe-facts.txt', 'model-configs.txt']) {
  const file = new URL(name, import.meta.url);
  const { preface, found } = read(file);
  if (process.env.UPDATE_FIXTURES === '1') {
    const written = await Promise.all(
      found.map(async ({ title, body }) => `=== ${title}\n${await checkFixture(body, optionsOf(title))}\n`),
    );
    writeFileSync(file, preface + written.join('\n'));
  }
  fixtures.push(...read(file).found);
}

function read(file: URL): { readonly preface: string; readonly found: readonly { readonly title: string; readonly body: string }[] } {
  const [preface = '', ...sections] = readFileSync(file, 'utf8').split(/^=== /m);
  const found = sections.map(section => {
    const end = section.indexOf('\n');
    return { title: section.slice(0, end), body: section.slice(end + 1).replace(/\n+$/, '') };
  });
  return { preface, found };
}

function optionsOf(title: string): ViewOptions {
  const [, name = ''] = /^(\S+): /.exec(title) ?? [];
  const [, megabytes] = / \((\d+) MB free\)$/.exec(title) ?? [];
  const farDaemon = title.endsWith(' (a daemon elsewhere)') ? { url: 'wss://gpu-box:8421', folder: '/srv/mail' } : undefined;
  return { folder, name, farDaemon, ...(megabytes === undefined ? {} : { availableBytes: Number(megabytes) * 1e6 }) };
}

describe('problems stand under the bad value', () => {
  test.each(fixtures)('$title', async ({ title, body }) => expect(await checkFixture(body, optionsOf(title))).toBe(body));

  test('titles are distinct and every code has a fixture', () => {
    expect(new Set(fixtures.map(({ title }) => title)).size).toBe(fixtures.length);
    const shown = new Set(
      fixtures.flatMap(({ body }) => [...body.matchAll(/\^ (?:error|warning|info) ([\w-]+)/g)].map(([, code]) => code)),
    );
    // The library that decodes images is installed here; no-image-library.test.ts takes it away.
    expect([...factCodes, ...configCodes].filter(code => !shown.has(code))).toEqual(['images-not-checked']);
  });
});

describe('half-typed text never throws', () => {
  const plain = fixtures.map(({ title, body }) => ({ title, text: body.replaceAll(/^ *\^+ (?:error|warning|info) .*\n?/gm, '') }));

  test('if it is cut anywhere', async () => {
    const { below } = createRandom(1);
    for (const { title, text } of plain)
      for (let i = 0; i < 2; i++)
        await expect(lint(text.slice(0, below(text.length + 1)), optionsOf(title))).resolves.toBeInstanceOf(Array);
  });

  test('if characters are inserted, removed or doubled', async () => {
    const { below } = createRandom(2);
    const strange = [
      '{',
      '}',
      '[',
      ']',
      ':',
      '- ',
      '"',
      "'",
      '#',
      '&a ',
      '*a',
      '!!',
      '\t',
      '\n',
      '|',
      '>',
      '%',
      '@',
      '\u0000',
      '💥',
      '<<: ',
      '? ',
      '---\n',
    ];
    for (const { title, text } of plain)
      for (let i = 0; i < 2; i++) {
        const at = below(text.length + 1);
        const mutated = text.slice(0, at) + (strange[below(strange.length)] ?? '') + text.slice(at + below(3));
        await expect(lint(mutated, optionsOf(title))).resolves.toBeInstanceOf(Array);
      }
  });
});
