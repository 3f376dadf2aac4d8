/** Tests that the linter and the run list every unusable sample of a data file, each with one line number, up to a limit. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DataError } from '../../../trainer/data/data-error.ts';
import { loadDataset } from '../../../trainer/data/load/load-dataset.ts';
import { loadLabeled } from '../../../trainer/data/load/load-labeled.ts';
import { readDataFact } from '../../../trainer/lint/facts/read-data-fact.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { rejectionOf } from '../../support/rejection-of.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';
import { datasetSettings } from '../data/data-files.ts';
import { lint } from './check-view.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-samples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GOOD = '{"text":"lunch at 7","label":"ham"}';
const LINES = [GOOD, '{"text":"a","label":"ham"', GOOD, '{"text":"","label":"ham"}', '["ham"]', '{"text":"b","label":1.5}', GOOD];
const BAD = [2, 4, 5, 6];
const write = (name: string, lines: readonly string[]): string => {
  const file = path.join(folder, name);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
};
const { data, embedding } = recipeOf('model=m', 'data.train=t');
const factOf = (full: string, bytes = 1000, task: Recipe['task'] = 'causal_lm') =>
  readDataFact({ written: path.basename(full), full, data, task, embedding, maxLength: 512, counts: false, bytes });
/** Any tokenizer: one token per character. */
const tokenizer = {
  encode: (text: string) => [...text].map(char => char.charCodeAt(0)),
  decode: (ids: readonly number[]) => String.fromCharCode(...ids),
  eosIds: [2],
};
const loaded = (file: string) =>
  loadDataset({
    paths: [file],
    settings: { ...datasetSettings, promptTemplate: '{text}:', seed: 1 },
    tokenizer,
    maxLength: 64,
    maxPositions: 64,
  });
const failureOf = (work: Promise<unknown>): Promise<DataError> => rejectionOf(work, DataError);
/**
 * Returns the lines that a message names: the first line of each problem, and the lines that share it ("Lines 3, 7–9 have the same
 * problem").
 */
function linesIn(message: string): number[] {
  const first = [...message.matchAll(/\.(?:jsonl|json|csv):(\d+): /g)].map(([, line]) => Number(line));
  const more = [...message.matchAll(/ Lines? ([\d–, ]+) ha(?:s|ve) the same problem\./g)].flatMap(([, list = '']) =>
    list.split(', ').flatMap(range => {
      const [from = 0, to = from] = range.split('–').map(Number);
      return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    }),
  );
  return [...first, ...more].sort((a, b) => a - b);
}

describe('a file with several bad samples', () => {
  test('is reported whole by the linter, each with its line and no other', async () => {
    const { state, badSamples, isTruncated } = await factOf(write('bad.jsonl', LINES));
    expect([state, badSamples?.map(({ line }) => line), isTruncated]).toEqual(['bad-sample', BAD, false]);
    for (const { reason } of badSamples ?? []) expect(reason).not.toMatch(/line \d|column \d/);
    const problems = (await lint(`model: m\ndata: { train: bad.jsonl }\n`, { folder })).filter(({ code }) => code === 'bad-sample');
    expect(problems.map(({ message }) => Number(/^line (\d+): /.exec(message)?.[1]))).toEqual(BAD);
    expect(problems.map(({ related }) => related?.line)).toEqual(BAD.map(line => line - 1));
  });

  test('is found in a folder, whose first file is read', async () => {
    const problemsIn = async (name: string, files: Readonly<Record<string, readonly string[]>>) => {
      for (const [file, lines] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(folder, name, file)), { recursive: true });
        write(path.join(name, file), lines);
      }
      return lint(`model: m\ndata: { train: ${name} }\n`, { folder });
    };
    const isOfData = ({ code }: { readonly code: string }) => ['bad-sample', 'unreadable-data'].includes(code);
    expect((await problemsIn('two', { 'a.jsonl': [GOOD], 'b.jsonl': [GOOD] })).filter(isOfData)).toEqual([]);
    const inner = path.join('data', 'a.jsonl');
    const bad = (await problemsIn('deep', { [inner]: LINES })).filter(isOfData);
    expect(bad.map(({ message }) => message.split(': ').slice(0, 2).join(': '))).toEqual(BAD.map(line => `${inner}: line ${line}`));
    expect(new Set(bad.map(({ related }) => related?.file))).toEqual(new Set([path.join(folder, 'deep', inner)]));
    const none = (await problemsIn('none', { 'a.jsonl': [] })).filter(isOfData);
    expect(none.map(({ message }) => message)).toEqual(['a.jsonl: the file contains no samples']);
    const parts = await problemsIn('parts', { 'train/a.jsonl': [GOOD], 'test/a.jsonl': [GOOD] });
    expect(parts.filter(isOfData)).toMatchObject([{ message: expect.stringContaining('holds train and test, parts of a data set') }]);
  });

  test('a tool that a chat never calls is none of them', async () => {
    const tools = [{ function: { name: 'look', parameters: { type: 'object' } } }];
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello!' },
    ];
    const chat = { tools, messages };
    const pair = { tools, prompt: messages.slice(0, 1), chosen: messages.slice(1), rejected: [{ role: 'assistant', content: 'No.' }] };
    expect((await factOf(write('tools.jsonl', [JSON.stringify(chat)]))).badSamples ?? []).toEqual([]);
    expect((await factOf(write('pairs.jsonl', [JSON.stringify(pair)]), 1000, 'dpo')).badSamples ?? []).toEqual([]);
    const plain = await factOf(write('plain.jsonl', [JSON.stringify({ ...pair, prompt: 'Hi', chosen: 'A', rejected: 'B' })]), 1000, 'dpo');
    expect(plain.badSamples?.map(({ reason }) => reason)).toEqual([expect.stringContaining('tools next to plain text')]);
  });

  test('is reported whole by the run', async () => {
    const { message } = await failureOf(loaded(write('bad.jsonl', LINES)));
    expect(linesIn(message)).toEqual(BAD);
    expect(message).not.toContain('There may be more');
  });

  test('is reported whole for a classifier too', async () => {
    const input = {
      tokenizer: { ...tokenizer, encodePair: () => ({ ids: [], types: [] }) },
      columns: {},
      regression: false,
      labels: [],
      maxLength: 32,
      seed: 1,
    };
    const failure = await failureOf(loadLabeled({ ...input, paths: [write('bad.jsonl', LINES)] }));
    expect(linesIn(failure.message)).toEqual(BAD);
  });

  test('is reported whole for pairs of answers too, with the key', async () => {
    const good = '{"prompt":"Q","chosen":"yes","rejected":"no"}';
    const chat =
      '{"chosen":[{"role":"user","content":"Q"}],"rejected":[{"role":"user","content":"Q"},{"role":"assistant","content":"no"}]}';
    const file = write('pairs.jsonl', [
      good,
      '{"prompt":"Q","chosen":"yes","rejected":"yes"}',
      good,
      '{"prompt":"Q","chosen":"yes"}',
      chat,
    ]);
    const { state, badSamples, format } = await factOf(file, 1000, 'dpo');
    expect([state, format]).toEqual(['bad-sample', 'preference']);
    expect(badSamples?.map(({ line, key }) => [line, key])).toEqual([
      [2, 'rejected'],
      [4, 'rejected'],
      [5, 'chosen'],
    ]);
    expect(badSamples?.[0]?.reason).toContain('the same answer as the chosen one');
    expect(await factOf(write('good.jsonl', [good, good]), 1000, 'orpo')).toMatchObject({
      state: 'ok',
      format: 'preference',
      rows: { count: 2 },
    });
  });

  test('the margins of pairs, for a task that reads them', async () => {
    const good = '{"prompt":"Q","chosen":"yes","rejected":"no","margin":0.5}';
    const file = write('margins.jsonl', [good, '{"prompt":"Q","chosen":"yes","rejected":"no","margin":"much"}']);
    const { badSamples } = await factOf(file, 1000, 'reward');
    expect(badSamples?.map(({ line, key }) => [line, key])).toEqual([[2, 'margin']]);
    expect(await factOf(file, 1000, 'dpo')).toMatchObject({ state: 'ok' });
    expect(
      await factOf(write('margins.csv', ['prompt,chosen,rejected,margin', 'Q,yes,no,1.5', 'Q,yes,no,']), 1000, 'reward'),
    ).toMatchObject({ state: 'ok' });
  });

  test('a list of JSON as well as lines', async () => {
    const file = write('list.json', ['[', `${GOOD},`, '{"text":"x"},', `${GOOD},`, '{"text":"","label":"ham"}', ']']);
    expect((await factOf(file)).badSamples?.map(({ line }) => line)).toEqual([3, 5]);
  });
});

describe('words with tags', () => {
  const factOfTags = (file: string) => factOf(file, 1000, 'token_classification');

  test('are checked sentence by sentence', async () => {
    const file = write('tags.jsonl', [
      '{"tokens":["a"],"tags":["O"]}',
      '{"tokens":["a","b"],"tags":["O"]}',
      '{"tokens":["a"],"tags":[""]}',
    ]);
    const { badSamples, state } = await factOfTags(file);
    expect([state, badSamples?.map(({ line, key }) => [line, key])]).toEqual([
      'bad-sample',
      [
        [2, 'tags'],
        [3, 'tags'],
      ],
    ]);
    const conll = write('tags.txt', ['a B-X', '', 'b', 'c O', '']);
    expect((await factOfTags(conll)).badSamples).toEqual([{ line: 3, key: undefined, reason: expect.stringContaining('one column') }]);
  });

  test('must have one scheme in all sentences', async () => {
    const file = write('schemes.conll', ['a B-X', '', 'b O', 'c LOC', '']);
    expect(await factOfTags(file)).toMatchObject({
      state: 'bad-sample',
      badSamples: [{ line: 3, reason: expect.stringContaining('the tag "LOC", expected O') }],
    });
  });

  test('are counted by tag, so that one that only held-out sentences have is found', async () => {
    const file = write('counted.conll', ['a B-X', 'b O', '', 'c O', '']);
    expect(
      await readDataFact({
        written: 'c',
        full: file,
        data,
        embedding,
        maxLength: 512,
        task: 'token_classification',
        counts: true,
        bytes: 20,
      }),
    ).toMatchObject({
      state: 'ok',
      labels: { 'B-X': 1, O: 2 },
    });
  });
});

describe('a JSON list on one line', () => {
  const list = `[${[1, 0, 1, 0, 0].map(good => `{"text":"${good ? 'b' : ''}","label":"c"}`).join(',')}]`;

  test('has bad samples by number', async () => {
    const file = write('one-line.json', [list]);
    expect((await failureOf(loaded(file))).message).toBe(
      `${file}:1 (sample 2): key "text": empty text. Fill it in, or remove the sample. Samples 4–5 have the same problem.`,
    );
    const [problem] = (await lint('model: m\ndata: {train: one-line.json}\n', { folder })).filter(({ code }) => code === 'bad-sample');
    expect(problem?.message).toMatch(/^line 1 \(sample 2\): key "text": empty text\. .* Samples 4–5 have the same problem\.$/);
  });
});

test('a folder without data is reported', async () => {
  mkdirSync(path.join(folder, 'nothing', 'here'), { recursive: true });
  const problems = await lint('model: m\ndata: {train: nothing}\n', { folder });
  expect(problems.find(({ code }) => code === 'unreadable-data')?.message).toContain('the folder holds no data file');
});

describe('a file that is wrong throughout', () => {
  test('is cut at twenty, and says so', async () => {
    const file = write('all.jsonl', [GOOD, ...Array.from({ length: 50 }, () => '{"text":"","label":"ham"}')]);
    const { badSamples, isTruncated } = await factOf(file);
    expect([badSamples?.length, isTruncated]).toEqual([20, true]);
    const { message } = await failureOf(loaded(file));
    expect(linesIn(message)).toHaveLength(20);
    expect(message).toMatch(/^.*all\.jsonl:2: .* Lines 3–21 have the same problem\.\nThere may be more\.$/);
    const malformed = write(
      'malformed.jsonl',
      Array.from({ length: 50 }, () => '{"text"'),
    );
    expect([(await factOf(malformed)).badSamples?.length, linesIn((await failureOf(loaded(malformed))).message).length]).toEqual([20, 20]);
  });

  test('without a known format is reported once', async () => {
    const file = write(
      'odd.jsonl',
      Array.from({ length: 30 }, (_, i) => `{"body":"${i}"}`),
    );
    expect((await factOf(file)).badSamples).toHaveLength(1);
    expect((await factOf(file, 1000, 'sequence_classification')).badSamples).toHaveLength(1);
  });
});
