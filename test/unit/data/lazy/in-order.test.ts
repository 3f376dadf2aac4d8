/** Tests that samples, and their batches, are the same tokenized on demand as up front. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BatchPlan, planBatches } from '../../../../trainer/data/batch/batch-plan.ts';
import { trainBatchSettings } from '../../../../trainer/data/batch/batch-settings.ts';
import { stepAt, tokenSource } from '../../../../trainer/data/batch/batches.ts';
import { planInOrder } from '../../../../trainer/data/batch/plan-in-order.ts';
import { openInOrder } from '../../../../trainer/data/lazy/open-lazy.ts';
import type { DatasetSettings } from '../../../../trainer/data/load/load-dataset.ts';
import { splitExamples, splitPlaces } from '../../../../trainer/data/split.ts';
import type { Examples } from '../../../../trainer/data/tokens/example-store.ts';
import { keepTokens } from '../../../../trainer/data/tokens/keep-tokens.ts';
import type { Recipe } from '../../../../trainer/protocol/recipe/recipe-schema.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { byteLevelTokenizer, CHATML, pieceTokenizer } from '../../../support/models/byte-tokenizer.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';
import { writeData } from '../data-files.ts';
import { eager, inputOf, LOUD, lines, type Opening, opened, root, TRIMS, words } from './lazy-files.ts';

const alpaca = Array.from({ length: 120 }, (_, i) => ({
  instruction: words(i % 7 === 0 ? 30 : 6),
  input: i % 3 === 0 ? words(20) : '',
  output: i % 13 === 0 ? ['\u0001\u0002', 'é', '🙂'][i % 3] : words(i % 11 === 0 ? 40 : 8),
  ...(i % 5 === 0 && { system: i % 10 === 0 ? words(25) : '' }),
}));
const answers = alpaca.map(({ instruction, output }) => ({ prompt: instruction, completion: output }));

const recipeFrom = (settings: object): Recipe =>
  recipeIn(JSON.stringify({ model: 'm', max_length: 100, group_by_length: false, ...settings }), { fileName: 'recipe.json' });

const samplesIn = (plan: BatchPlan, epoch: number) =>
  plan.epoch(epoch).map(({ rows, bucket, fillers }) => ({ rows, batch: bucket.batch, fillers }));

/** Returns the arrays of every batch of two epochs. */
async function feedsOf(plan: BatchPlan, sequences: Examples): Promise<unknown[]> {
  const source = tokenSource({ plan, sequences, padId: 0, packed: false });
  const found: unknown[] = [];
  for (let cursor = { epoch: 0, batchIndex: 0 }; cursor.epoch < 2; ) {
    const step = await stepAt(source, cursor, 3);
    found.push(step.batches.map(batch => [batch.bucket, batch.sampleIndices, batch.feeds(step.targetCount)]));
    cursor = step.next;
  }
  return found;
}

/** The format whose prompts contain no template text. */
const PLAIN = 'prompts and completions';
const DATA = {
  'lines of alpaca': [lines(alpaca), {}],
  'other line ends, empty lines and a byte-order mark': [`\ufeff${lines(alpaca.slice(0, 50), '\r\n\r\n')}\n\n`, {}],
  [PLAIN]: [lines(answers), {}],
  'columns of other names': [
    lines(alpaca.map(({ output, ...rest }) => ({ ...rest, response: output }))),
    { columns: { output: 'response' } },
  ],
  'a format that the recipe names': [lines(alpaca), { format: 'alpaca' }],
  'samples that are drawn': [lines(alpaca), { maxSamples: 70 }],
  'fewer samples than may be drawn': [lines(alpaca), { maxSamples: 500 }],
  'samples whose reasoning is context': [lines(alpaca), { contextParts: ['reasoning', 'end_of_turn'] }],
  'chats cut at any token': [lines(alpaca), { truncation: 'end' }],
} as const satisfies Record<string, readonly [string, Partial<DatasetSettings>]>;

describe.each([
  ['without a chat template', '', byteLevelTokenizer()],
  ["with a template like SmolLM2's", CHATML, byteLevelTokenizer()],
  ['with a template that trims', TRIMS, byteLevelTokenizer()],
  ['with a template that changes texts', LOUD, byteLevelTokenizer()],
  ['that are normalized', CHATML, byteLevelTokenizer({ normalizer: { type: 'NFC' } })],
  ['without bytes that the data has', CHATML, byteLevelTokenizer({ without: [1, 2, 0xc3, 0xa9, 0xf0] })],
  ['in pieces', CHATML, pieceTokenizer()],
  ['in pieces with a mark in front', CHATML, pieceTokenizer({ prefix: true })],
  ['in pieces without a chat template', '', pieceTokenizer({ prefix: true })],
])('samples %s', (_, template, definition) => {
  it.each(Object.entries(DATA))('of %s have the same tokens as if tokenized first', async (name, [text, settings]) => {
    const file = writeData('a.jsonl', text);
    let dropped = 0;
    // Each starts a thread, which takes longer than its work.
    for (const [maxLength, segmentBytes] of [
      [name === PLAIN ? 20 : template === '' ? 200 : 60, 300],
      [512, 2 ** 22],
    ] as const) {
      const opening = { template, settings, maxLength, definition };
      const expected = await eager(file, opening);
      dropped += Object.values(expected.report.dropped).reduce((sum, count) => sum + count, 0);
      const found = await opened(file, { ...opening, segmentBytes });
      expect(found.index).toMatchObject({
        samples: expected.examples.length,
        read: expected.report.read,
        dropped: expected.report.dropped,
        ...(expected.report.drawnFrom !== undefined && { drawnFrom: expected.report.drawnFrom }),
      });
      expect([...found.examples]).toEqual([...expected.examples]);
      expect([...found.examples.sizes]).toEqual([...expected.examples.sizes]);
    }
    expect(dropped).toBeGreaterThan(0);
  });
});

it.each(['', CHATML])('samples of which every token is trained are those that are tokenized first (%#)', async template => {
  for (const values of [alpaca, answers])
    for (const maxLength of [2, 60, 512]) {
      const file = writeData('a.jsonl', lines(values));
      const opening = { template, maxLength, settings: { completionOnly: false } };
      expect([...(await opened(file, opening)).examples]).toEqual([...(await eager(file, opening)).examples]);
    }
});

it('lines longer than a block of reading are found', async () => {
  const values = alpaca.slice(0, 20).map((sample, i) => (i % 7 === 3 ? { ...sample, output: 'word '.repeat(40_000) } : sample));
  const file = writeData('a.jsonl', lines(values));
  expect([...(await opened(file)).examples]).toEqual([...(await eager(file)).examples]);
});

describe('chat templates of models', () => {
  const folder = join(root, 'test/golden/jinja/templates');
  const templates = readdirSync(folder);

  it.each(templates)('%s: the samples are those that are tokenized first', async name => {
    const template = readFileSync(join(folder, name), 'utf8');
    // Templates without a system message reject one.
    const file = writeData('a.jsonl', lines(alpaca.map(({ system: _, ...sample }) => sample)));
    let kept = 0;
    for (const maxLength of [120, 500]) {
      const found = await opened(file, { template, maxLength }).catch((error: Error) => error.message);
      if (typeof found === 'string') expect(found).toMatch(/no sample is left to train on/);
      else expect([...found.examples]).toEqual([...(await eager(file, { template, maxLength })).examples]);
      kept += typeof found === 'string' ? 0 : found.examples.length;
    }
    expect(kept).toBeGreaterThan(0);
  });
});

describe.each([
  ['in a random order', {}],
  ['in the order of the file', { data: { shuffle: false } }],
  ['one by one', { per_device_train_batch_size: 1 }],
])('batches %s', (_, changes) => {
  it.each([undefined, { count: 2, own: 0 }, { count: 2, own: 1 }])('have the same samples and arrays (part %j)', async parts => {
    const file = writeData('a.jsonl', lines(alpaca));
    const settings = trainBatchSettings(recipeFrom(changes), false, parts);
    const all = (await eager(file)).examples;
    const { examples } = await opened(file, { threads: 2 });
    const [before, first, lazy] = [
      planBatches(all.sizes, settings),
      planInOrder(all.sizes, settings),
      planInOrder(examples.sizes, settings),
    ];
    expect(lazy.batchesPerEpoch).toBe(before.batchesPerEpoch);
    for (const epoch of [0, 1, 2]) expect(samplesIn(lazy, epoch)).toEqual(samplesIn(before, epoch));
    expect(lazy.buckets).toEqual(first.buckets);
    expect(await feedsOf(lazy, examples)).toEqual(await feedsOf(first, all));
    expect(lazy.slice?.(1, 3, 5)).toEqual(lazy.epoch(1).slice(3, 5));
    expect(lazy.rows).toEqual(before.rows);
  });
});

describe('batches of similar length', () => {
  it('have the same arrays as if tokenized first', async () => {
    const settings = trainBatchSettings(recipeFrom({ group_by_length: true }));
    const file = writeData('a.jsonl', lines(alpaca));
    const all = (await eager(file)).examples;
    const { examples } = await opened(file, { threads: 2 });
    const [first, lazy] = [planInOrder(all.sizes, settings), planInOrder(examples.sizes, settings)];
    expect(lazy.buckets).toEqual(first.buckets);
    expect(await feedsOf(lazy, examples)).toEqual(await feedsOf(first, all));
  });
});

describe('held-out samples', () => {
  it.each([0.1, 7, 0.5])('are the same for val_size %d', async validation => {
    const file = writeData('a.jsonl', lines(alpaca));
    const expected = splitExamples((await eager(file)).examples, { validation, seed: 7 });
    const { examples } = await opened(file);
    const places = splitPlaces(examples.length, { validation, seed: 7 });
    expect([...examples.select(places?.train ?? [])]).toEqual([...expected.train]);
    const held = examples.select(places?.validation ?? []);
    expect([...held]).toEqual([...expected.validation]);
    const done: number[] = [];
    expect([...(await keepTokens(held, count => void done.push(count)))]).toEqual([...expected.validation]);
    expect(done.at(-1)).toBe(held.length);
  });

  it('leave something to train on', () => {
    expect(() => splitPlaces(5, { validation: 5, seed: 1 })).toThrow('leaves nothing to train on');
    expect(splitPlaces(5, { validation: 0, seed: 1 })).toBeUndefined();
  });
});

describe('the cache', () => {
  const entries = (cacheDir: string): string[] => readdirSync(cacheDir).sort();

  it('keeps the places of samples, and makes damaged ones again', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    const cacheDir = makeTemporaryFolder();
    const first = await opened(file, { cacheDir, threads: 2 });
    const [folder] = entries(cacheDir);
    expect(folder).toMatch(/^[0-9a-f]{40}\.places$/);
    const logged: string[] = [];
    const second = await opened(file, { cacheDir, logged });
    expect(logged).toEqual([]);
    expect([...second.examples]).toEqual([...first.examples]);
    expect(second.content).toBe(first.content);
    const damaged = join(cacheDir, folder ?? '', 'lines.bin');
    const bytes = readFileSync(damaged);
    bytes.writeUInt8((bytes[20] ?? 0) ^ 1, 20);
    writeFileSync(damaged, bytes);
    expect([...(await opened(file, { cacheDir, logged })).examples]).toEqual([...first.examples]);
    expect(logged).toEqual([expect.stringMatching(/^warning: the places of samples .* does not match its checksum.* found again/)]);
  });

  it('removes what a killed process left half written, and never takes it for whole', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    const cacheDir = makeTemporaryFolder();
    const expected = [...(await opened(file, { cacheDir })).examples];
    const [folder = ''] = entries(cacheDir);
    const { pid = 0 } = spawnSync(process.execPath, ['-e', '']);
    const left = join(cacheDir, `${folder}.${pid}-00000000.tmp`);
    renameSync(join(cacheDir, folder), left);
    truncateSync(join(left, 'lines.bin'), 100);
    expect([...(await opened(file, { cacheDir })).examples]).toEqual(expected);
    expect(entries(cacheDir)).toEqual([folder]);
    // A file that is truncated later is detected, too.
    truncateSync(join(cacheDir, folder, 'lines.bin'), 96);
    expect([...(await opened(file, { cacheDir })).examples]).toEqual(expected);
  });

  it('returns the tokens that an earlier run cached for the same content', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    const cacheDir = makeTemporaryFolder();
    const lazy = await opened(file, { cacheDir });
    const made = await opened(file, { cacheDir, isEager: true });
    const cached = await opened(file, { cacheDir });
    expect([lazy.tokenized, made.index, cached.index]).toEqual([undefined, undefined, undefined]);
    for (const one of [made, cached]) {
      expect([...one.examples]).toEqual([...lazy.examples]);
      expect(one.content).toBe(lazy.content);
    }
  });

  it('is optional: places stay in memory, with a warning', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    const logged: string[] = [];
    const found = await opened(file, { cacheDir: join(writeData('file', ''), 'tokens'), logged });
    expect([...found.examples]).toEqual([...(await eager(file)).examples]);
    expect(logged).toEqual([expect.stringMatching(/^warning: tokens are not cached/)]);
  });

  it('tells data by content, not by name', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    const moved = writeData('b.jsonl', lines(alpaca));
    const other = writeData('a.jsonl', lines(alpaca.toReversed()));
    const contents = await Promise.all([file, moved, other].map(async one => (await opened(one)).content));
    expect(contents[1]).toBe(contents[0]);
    expect(contents[2]).not.toBe(contents[0]);
  });
});

describe('data that cannot be used', () => {
  const bad: Record<string, string> = {
    'a line that is no JSON': `${lines(alpaca)}\n{"instruction": "x", "output": `,
    'a sample without an answer': `${lines(alpaca)}\n{"instruction": "x"}\n{"instruction": "y", "output": ""}`,
    'two problems': `{"instruction": "a", "output": "b"}\n{"instruction": "x", "output": 7}\n${lines(alpaca)}\n[1]\n${lines(alpaca)}`,
    'mixed formats': `${lines(alpaca)}\n${lines(answers)}`,
    'no answer that fits': lines(Array.from({ length: 3 }, () => ({ instruction: 'w '.repeat(299), output: 'x' }))),
  };
  it.each(Object.entries(bad))('is reported before training, with the same error as if tokenized first: %s', async (_, text) => {
    const file = writeData('a.jsonl', text);
    const small = await eager(file).catch((error: Error) => error.message);
    expect(typeof small).toBe('string');
    for (const threads of [1, 2]) {
      const cacheDir = makeTemporaryFolder();
      await expect(opened(file, { cacheDir, threads })).rejects.toThrow(String(small));
      expect(readdirSync(cacheDir).filter(name => name.endsWith('.tmp'))).toEqual([]);
    }
  });

  it('is reported where bytes are not UTF-8, with the line', async () => {
    const text = Buffer.from(`${lines(alpaca.slice(0, 9))}\n${lines(alpaca)}`);
    text[text.indexOf('\n') - 3] = 0xff;
    const file = writeData('a.jsonl', text);
    await expect(eager(file)).rejects.toThrow('a.jsonl:1: bytes that are not UTF-8 text');
    await expect(opened(file)).rejects.toThrow('a.jsonl:1: bytes that are not UTF-8 text');
  });

  it('is reported where a file changes while it is read, and not where another takes its name', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    const { examples } = await opened(file);
    const expected = [...(await eager(file)).examples];
    renameSync(file, `${file}.old`);
    writeFileSync(file, lines(answers));
    expect(examples.at(9)).toEqual(expected[9]);
    appendFileSync(`${file}.old`, '\n');
    expect(() => examples.at(80)).toThrow('the file was changed while training reads from it');
  });
});

describe('all samples are tokenized first', () => {
  const tiny = readFileSync(join(root, 'test/golden/tiny-tokenizer/tokenizer.json'), 'utf8');
  it.each([
    ['a.csv', 'instruction,instruction\nx,y\n', {}, 'has no usual header'],
    ['a.txt', 'one text', {}, 'is not JSON Lines, a list of JSON, a table, Parquet or Arrow'],
    ['a.json', lines(alpaca), {}, 'is JSON, but no list of objects'],
    ['a.jsonl', lines([{ text: 'x' }]), {}, 'samples of the format text'],
    ['a.jsonl', lines(alpaca), { settings: { trainedRoles: ['user'] } }, 'no answers are trained'],
    ['a.jsonl', lines(alpaca), { definition: tiny }, 'the bytes of a text do not bound'],
  ] satisfies [string, string, Opening, string][])('of %s (%#)', async (name, text, opening, reason) => {
    await expect(opened(writeData(name, text), opening)).rejects.toThrow(reason);
  });

  it('if there are few', async () => {
    const file = writeData('a.jsonl', lines(alpaca));
    expect(await openInOrder({ ...inputOf(file, {}), lazyBytes: 10 ** 6 })).toBeUndefined();
  });
});
