/**
 * Follows the instructions in CONTRIBUTING.md in a copy of the sources, as a newcomer would: adds a toy of each kind, type-checks the copy,
 * counts the files changed outside the toy's folder, and computes one update that uses every toy at once.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { isRecord } from '../../trainer/narrow.ts';

const root = join(import.meta.dirname, '..', '..');
const toys = join(root, 'test', 'support', 'toys');
const folder = join(root, 'dist', 'walked');

/** A line of a table, inserted after an anchor in the file. */
interface Edit {
  readonly file: string;
  readonly behind: string;
  readonly text: string;
}

interface Walk {
  readonly recipe: string;
  /** Maximum number of changed files outside the toy's own. */
  readonly most: number;
  readonly edits: readonly Edit[];
  /** The toy's own files, and their texts in `test/support/toys`. */
  readonly own?: Readonly<Record<string, string>>;
}

const entriesBegin = 'const entries = {\n';

const walks: readonly Walk[] = [
  {
    recipe: 'Add a setting',
    most: 1,
    edits: [
      {
        file: 'trainer/protocol/recipe/settings/training-settings.ts',
        behind: 'export const scheduleSettings = {\n',
        text: "  toy_scale: defaulted(number({ min: 0, max: 10 }), 1, { doc: 'How far the toys move.' }),\n",
      },
    ],
  },
  {
    recipe: 'Add a model family',
    most: 2,
    edits: [
      {
        file: 'trainer/model/architectures.ts',
        behind: "import { labelKeys } from './family/common-keys.ts';\n",
        text: "import { toy, toyConfig, toyKeys } from './family/image/toy.ts';\n",
      },
      {
        file: 'trainer/model/architectures.ts',
        behind: 'export const architectures = {\n',
        text: '  ToyForImageClassification: entryOf(toyKeys, toyConfig, toy),\n',
      },
    ],
    own: { 'trainer/model/family/image/toy.ts': 'family.ts.txt' },
  },
  {
    recipe: 'Add a measure',
    most: 2,
    edits: [
      {
        file: 'trainer/catalog/measures.ts',
        behind: entriesBegin,
        text: "  toy: { ...plain, label: 'First number', summary: 'The first number of each row.', needs: 'weights' },\n",
      },
      {
        file: 'trainer/importance/measures.ts',
        behind: 'export const measures: { readonly [Name in MeasureName]: Measure } = {\n',
        text: "  toy: { needs: 'weights', score: (weight, rows) => weight.filter((_, i) => i % (weight.length / rows) === 0) },\n",
      },
    ],
  },
  {
    recipe: 'Add a method',
    most: 1,
    edits: [
      {
        file: 'trainer/catalog/methods.ts',
        behind: entriesBegin,
        text: "  'one-row': { ...plain, label: 'One row', summary: 'Train the first row of each weight.', learningRate: 0.1 },\n",
      },
    ],
    own: { 'trainer/method/one-row/method.ts': 'method.ts.txt' },
  },
  {
    recipe: 'Add an objective',
    most: 2,
    edits: [
      {
        file: 'trainer/catalog/objectives.ts',
        behind: entriesBegin,
        text: "  toy_squares: { label: 'Squares', summary: 'Predict a label by squared distance.', model: 'classifier', reads: 'images', target: 'label', unit: 'images', metrics: ['loss'], architectures: 'ForToySquares' },\n",
      },
    ],
    own: {
      'trainer/objective/toy_squares/task.ts': 'objective.ts.txt',
      'trainer/objective/toy_squares/set-up.ts': 'set-up.ts.txt',
      'trainer/objective/toy_squares/preview.ts': 'preview.ts.txt',
    },
  },
  {
    recipe: 'Add an export format',
    most: 1,
    edits: [
      {
        file: 'trainer/catalog/artifacts.ts',
        behind: entriesBegin,
        text: "  json: { label: 'JSON', summary: 'The merged weights as text', suffix: 'json' },\n",
      },
    ],
    own: { 'trainer/artifact/json/artifact.ts': 'artifact.ts.txt' },
  },
  {
    recipe: 'Add an engine',
    most: 3,
    edits: [
      {
        file: 'trainer/catalog/engines.ts',
        behind: entriesBegin,
        text: "  wrapped: { label: 'Wrapped', summary: 'The portable engine in a wrapper.', holdsFewerBits: false, offloadsTo: [], fuses: false, transports: [], isBuiltIn: true },\n",
      },
      {
        file: 'trainer/catalog/engines.ts',
        behind: 'export const engineChoices = {\n',
        text: '  wrapped: entries.wrapped.summary,\n',
      },
      {
        file: 'trainer/engine/open-engine.ts',
        behind: 'const openers: Record<EngineName, (params: OpenParams) => Promise<Engine>> = {\n',
        text: "  wrapped: async params => (await import('./wrapped/engine.ts')).openWrapped(params),\n",
      },
      {
        file: 'trainer/plan/memory/engine-memory.ts',
        behind: 'export const engineMemory: Readonly<Record<EngineName, EngineMemory>> = {\n',
        text: '  wrapped: { rules: portableBuffers, overhead: { codeBytes: 1e6, workerBytes: 1e6, bytesPerToken: 1, bytesPerNode: 1, batches: 3, compilerBytes: 0, compilerBytesOfKind: 0, compilerBytesOfNarrowKind: 0, nodesOfVariable: 9, bytesPerConvolution: 0, variableShare: 0, activationShare: 0, gradientShare: 0 } },\n',
      },
    ],
    own: { 'trainer/engine/wrapped/engine.ts': 'engine.ts.txt' },
  },
];

let copy: string;

function apply({ file, behind, text }: Edit): void {
  const path = join(copy, file);
  const before = readFileSync(path, 'utf8');
  const at = before.indexOf(behind);
  if (at < 0) throw new Error(`${file} has no '${behind.trim()}'`);
  writeFileSync(path, before.slice(0, at + behind.length) + text + before.slice(at + behind.length));
}

beforeAll(() => {
  // Inside the checkout, so that packages are found.
  mkdirSync(folder, { recursive: true });
  copy = mkdtempSync(join(folder, 'copy-'));
  for (const part of ['trainer', 'scripts', 'package.json', 'tsconfig.base.json'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  for (const { edits, own } of walks) {
    for (const edit of edits) apply(edit);
    for (const [file, from] of Object.entries(own ?? {})) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      cpSync(join(toys, from), join(copy, file));
    }
  }
  cpSync(join(toys, 'use-all.ts.txt'), join(copy, 'use-all.ts'));
  execFileSync(process.execPath, [join(copy, 'scripts', 'registries.mjs')], { stdio: 'pipe' });
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe('a recipe of CONTRIBUTING.md', () => {
  const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
  test.each(walks)('$recipe: at most $most files, in at most five steps', ({ recipe, most, edits }) => {
    const touched = new Set(edits.map(({ file }) => file));
    expect(touched.size).toBeLessThanOrEqual(most);
    const [, section = ''] = page.split(`\n## ${recipe}\n`);
    const [steps = ''] = section.split('\n## ');
    expect(steps.match(/^\d\. /gm)?.length ?? 0).toBeGreaterThan(0);
    expect(steps.match(/^\d\. /gm)?.length ?? 0).toBeLessThanOrEqual(5);
    // The text names every file that must be changed.
    for (const file of touched) expect(steps.replaceAll('*-settings', 'training-settings'), file).toContain(file.replace(/^trainer\//, ''));
  });
});

test('all toys together compile', () => {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  writeFileSync(
    join(copy, 'tsconfig.json'),
    JSON.stringify({ extends: './tsconfig.base.json', compilerOptions: { types: ['node'] }, include: ['trainer/**/*.ts', 'use-all.ts'] }),
  );
  const { stdout, status } = spawnSync(process.execPath, [compiler, '-p', copy], { encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

test('one update with all of them moves one row, and what is exported is what was trained', async () => {
  const outfile = join(copy, 'use-all.mjs');
  await build({
    entryPoints: [join(copy, 'use-all.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
  const bundle: unknown = await import(pathToFileURL(outfile).href);
  if (!isRecord(bundle) || typeof bundle.useAll !== 'function') throw new Error('the bundle exports no useAll');
  const found = z.looseObject({ totalBytes: z.number() }).parse(await bundle.useAll());
  // Logits (0.5, 2.5) and (1, 3), targets (1, 0) and (0, 1): half of 0.25 + 6.25 + 1 + 4.
  const trained = [1.025, 1.95, 3, 4, 5, 6, 7, 8].map(value => expect.closeTo(value, 5));
  expect(found).toMatchObject({
    family: 'toy',
    engine: 'wrapped',
    start: [1, 2, 3, 4, 5, 6, 7, 8],
    trained,
    exported: trained,
    scores: [1, 5],
    losses: [expect.closeTo(5.75, 5), expect.closeTo(5.7191, 3)],
  });
  expect(found.totalBytes).toBeGreaterThan(0);
});
