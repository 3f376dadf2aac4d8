/** Tests that large data gives the same results as small data: with threads, and from tokens on disk. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { beforeAll, describe, expect, it } from 'vitest';
import { planBatches } from '../../../trainer/data/batch/batch-plan.ts';
import { trainBatchSettings } from '../../../trainer/data/batch/batch-settings.ts';
import { stepAt, tokenSource } from '../../../trainer/data/batch/batches.ts';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { digestSamples } from '../../../trainer/data/data-digest.ts';
import { type Dataset, type DatasetSettings, loadDataset } from '../../../trainer/data/load/load-dataset.ts';
import { splitExamples } from '../../../trainer/data/split.ts';
import { ColumnBuilder } from '../../../trainer/data/tokens/column-builder.ts';
import { createExamples } from '../../../trainer/data/tokens/example-store.ts';
import type { LargeData } from '../../../trainer/data/tokens/large-data.ts';
import { memorySink } from '../../../trainer/data/tokens/packed-tokens.ts';
import { MadeSamples } from '../../../trainer/data/tokens/tokenize-records.ts';
import { createTokenizer, type Tokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
import { datasetSettings, writeData } from './data-files.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const threadFile = join(root, 'dist', 'tokenize.js');
const TEMPLATE = '{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}';

let tokenizer: Tokenizer;
beforeAll(() => {
  if (!existsSync(threadFile)) throw new Error('dist/tokenize.js is missing: npm run build');
  const text = readFileSync(join(root, 'test/golden/tiny-tokenizer/tokenizer.json'), 'utf8');
  const config = JSON.stringify({ chat_template: TEMPLATE });
  tokenizer = createTokenizer({
    source: 'tiny',
    files: new Map([
      ['tokenizer.json', text],
      ['tokenizer_config.json', config],
    ]),
  });
});

const base: DatasetSettings = { ...datasetSettings, seed: 3 };

/** More than one batch of records for each thread, of all lengths. */
const words = (count: number, from: number) => Array.from({ length: count }, (_, i) => `word${(from * 7 + i * 13) % 97}`).join(' ');
const alpaca = Array.from({ length: 330 }, (_, i) => ({
  instruction: words(3 + (i % 29), i),
  input: '',
  output: words(1 + (i % 41), i + 5),
}));
const labeled = Array.from({ length: 310 }, (_, i) => ({ text: words(2 + (i % 17), i), label: ['ham', 'spam', 'news'][i % 3] }));
const chats = Array.from({ length: 300 }, (_, i) => ({
  messages: [0, 1].flatMap(turn => [
    { role: 'user', content: words(2 + (i % 5), i + turn) },
    { role: 'assistant', content: words(1 + (i % 9), i), ...(i % 4 > 0 && { weight: turn === 0 ? (i % 101) / 100 : 1 }) },
  ]),
}));
const document = Array.from({ length: 60 }, (_, i) => words(20, i)).join('\n');

const recipeFrom = (settings: object): Recipe => recipeIn(JSON.stringify({ model: 'm', ...settings }), { fileName: 'recipe.json' });

interface Loading {
  readonly large?: Partial<LargeData>;
  readonly settings?: Partial<DatasetSettings>;
  readonly logged?: string[];
}

const load = (file: string, { large, settings, logged = [] }: Loading = {}): Promise<Dataset> =>
  loadDataset({
    paths: [file],
    settings: { ...base, ...settings },
    tokenizer,
    chatRenderer: chatRendererOf(tokenizer),
    maxLength: 512,
    maxPositions: 512,
    ...(large && {
      large: {
        tokenizer: tokenizer.input,
        now: new Date(0),
        cacheDir: makeTemporaryFolder(),
        threads: 2,
        threadFile,
        minBytes: 0,
        log: (level, message) => void logged.push(`${level}: ${message}`),
        ...large,
      },
    }),
  });

/** Returns a hash of the arrays of every batch of two epochs, and their split. */
async function everything(data: Dataset, recipe: Recipe): Promise<unknown> {
  const { train, validation } = splitExamples(data.examples, { validation: 0.1, seed: 7 });
  const plan = planBatches(train.sizes, trainBatchSettings(recipe));
  const source = tokenSource({ plan, sequences: train, padId: 0, packed: recipe.packing });
  const batches = createHash('sha256');
  for (let cursor = { epoch: 0, batchIndex: 0 }; cursor.epoch < 2; ) {
    const step = await stepAt(source, cursor, 3);
    for (const { feeds, sampleIndices, segments } of step.batches)
      batches.update(JSON.stringify([feeds(step.targetCount), sampleIndices, segments].map(each => serialize(each).toString('base64'))));
    cursor = step.next;
  }
  return {
    held: [...validation].map(({ file, line, element, label }) => [file, line, element, label]),
    digests: [digestSamples(train), digestSamples(validation)],
    batches: batches.digest('hex'),
    report: data.report,
    labels: data.labels,
  };
}

describe.each([
  ['packing', { packing: true }],
  ['length buckets', { group_by_length: true }],
  ['the order of the files', { data: { shuffle: false }, group_by_length: false }],
])('batches with %s', (_, changes) => {
  it.each([
    ['alpaca.jsonl', alpaca.map(row => JSON.stringify(row)).join('\n'), {}],
    ['alpaca.json', JSON.stringify(alpaca), { maxSamples: 250 }],
    ['labeled.jsonl', labeled.map(row => JSON.stringify(row)).join('\n'), {}],
    ['chats.jsonl', chats.map(row => JSON.stringify(row)).join('\n'), {}],
    ['document.txt', document, {}],
  ] satisfies [string, string, Partial<DatasetSettings>][])('of %s are those of small data', async (name, content, settings) => {
    const file = writeData(name, content);
    const recipe = recipeFrom({ max_length: 512, per_device_train_batch_size: 4, ...changes });
    const expected = await everything(await load(file, { settings }), recipe);
    const cacheDir = makeTemporaryFolder();
    const logged: string[] = [];
    const made = await load(file, { settings, large: { cacheDir } });
    expect(made.examples.inMemory).toBe(false);
    expect(await everything(made, recipe)).toEqual(expected);
    const cached = await load(file, { settings, large: { cacheDir }, logged });
    expect(logged).toEqual([expect.stringContaining('come from the cache')]);
    expect(await everything(cached, recipe)).toEqual(expected);
  });
});

describe('cached tokens', () => {
  const file = () => writeData('alpaca.jsonl', alpaca.map(row => JSON.stringify(row)).join('\n'));
  const entries = (cacheDir: string): string[] => readdirSync(cacheDir);

  it('depend on content, settings and the seed of a draw, but not on another seed', async () => {
    const cacheDir = makeTemporaryFolder();
    const data = file();
    await load(data, { large: { cacheDir } });
    await load(data, { large: { cacheDir }, settings: { seed: 9 } });
    expect(entries(cacheDir)).toHaveLength(1);
    await load(data, { large: { cacheDir }, settings: { maxSamples: 9 } });
    await load(data, { large: { cacheDir }, settings: { maxSamples: 9, seed: 9 } });
    expect(entries(cacheDir)).toHaveLength(3);
    await load(data, { large: { cacheDir }, settings: { completionOnly: false } });
    writeFileSync(data, readFileSync(data, 'utf8').replace('word1', 'word2'));
    await load(data, { large: { cacheDir } });
    expect(entries(cacheDir)).toHaveLength(5);
  });

  it('have the weights of turns, and the same ids as without weights', async () => {
    const cacheDir = makeTemporaryFolder();
    const write = (weight?: number) =>
      writeData(
        'weights.jsonl',
        JSON.stringify({
          messages: [
            { role: 'user', content: 'word1' },
            { role: 'assistant', content: 'word2', weight },
            { role: 'user', content: 'word3' },
            { role: 'assistant', content: 'word4' },
          ],
        }),
      );
    const plain = (await load(write(), { large: { cacheDir } })).examples.at(0);
    const data = write(0.29);
    const logged: string[] = [];
    for (let times = 0; times < 2; times++) {
      const { ids, train, weights } = (await load(data, { large: { cacheDir }, logged })).examples.at(0) ?? {};
      expect([ids, train]).toEqual([plain?.ids, plain?.train]);
      const trained = [...(weights ?? [])].filter((_, i) => train?.[i] === 1);
      expect([...new Set(trained)]).toEqual([Math.fround(0.29), 1]);
    }
    expect(plain?.weights).toBeUndefined();
    expect(logged).toEqual([expect.stringContaining('come from the cache')]);
  });

  it('support ids too large to share a word with a weight', () => {
    const [made, columns, sink] = [new MadeSamples(), new ColumnBuilder(['a']), memorySink()];
    const sequence = { ids: Int32Array.of(1, 2 ** 30), train: Uint8Array.of(0, 1) };
    made.add(0, sequence, undefined);
    const end = made.end();
    columns.add([{ file: 'a', line: 1, value: {} }], end);
    sink.add(end.tokens);
    const { tokens, ahead } = sink.end();
    expect(createExamples(columns.end(), tokens, ahead).at(0)).toEqual({ ...sequence, file: 'a', line: 1 });
  });

  it.each(['tokens.bin', 'columns.bin', 'data.json'])('are made again where %s is damaged', async name => {
    const cacheDir = makeTemporaryFolder();
    const data = file();
    const expected = [...(await load(data, { large: { cacheDir } })).examples];
    const damaged = join(cacheDir, entries(cacheDir)[0] ?? '', name);
    const bytes = readFileSync(damaged);
    bytes.writeUInt8((bytes[20] ?? 0) ^ 1, 20);
    writeFileSync(damaged, bytes);
    const logged: string[] = [];
    expect([...(await load(data, { large: { cacheDir }, logged })).examples]).toEqual(expected);
    expect(logged[0]).toMatch(/^warning: cached tokens in .* cannot be used/);
  });

  it('leave nothing behind after a bad sample, which is reported as in small data', async () => {
    const cacheDir = makeTemporaryFolder();
    const data = writeData('a.jsonl', [...alpaca, { instruction: 'x', output: 7 }].map(row => JSON.stringify(row)).join('\n'));
    const small = await load(data).catch((error: Error) => error.message);
    expect(small).toContain('a.jsonl:331: key "output"');
    await expect(load(data, { large: { cacheDir } })).rejects.toThrow(String(small));
    expect(entries(cacheDir)).toEqual([]);
  });

  it('stay in memory, with a warning, if the folder cannot be made', async () => {
    const blocked = writeData('file', '');
    const logged: string[] = [];
    const data = await load(file(), { large: { cacheDir: join(blocked, 'tokens') }, logged });
    expect(data.examples.inMemory).toBe(true);
    expect(logged).toEqual([expect.stringMatching(/^warning: tokens are not cached/)]);
  });
});
