/** Tests that texts of classifiers are the same tokenized on demand as up front. */
import { describe, expect, it } from 'vitest';
import { type LabeledInOrder, openLabeledInOrder } from '../../../../trainer/data/lazy/labeled-in-order.ts';
import { loadLabeled } from '../../../../trainer/data/load/load-labeled.ts';
import { splitSamples } from '../../../../trainer/data/split.ts';
import { countsOf, partTexts } from '../../../../trainer/objective/classifier/texts-in-order.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { writeData } from '../data-files.ts';
import { inputOf, lines, words } from './lazy-files.ts';

const NAMES = ['good', 'bad', '10', '9'];
const classes = Array.from({ length: 140 }, (_, i) => ({ text: words(i % 9 === 0 ? 40 : 7), label: NAMES[(i * i) % 5] ?? 'good' }));
const pairs = classes.map(({ text, label }, i) => ({ sentence1: text, sentence2: words(i % 8 === 0 ? 30 : 5), label, other: i }));
const numbers = classes.map(({ text }, i) => ({ text, score: i / 7 }));
const several = classes.map(({ text }, i) => ({
  text,
  labels: i % 6 === 0 ? '' : NAMES.filter((_, place) => (i + place) % 3 === 0).join('|'),
}));
const flags = classes.map(({ text }, i) => ({ text, kind: i % 2, other: Number(i % 5 === 0) }));
const ranked = pairs.map(({ sentence1, sentence2 }, i) => ({ query: sentence1, document: sentence2, score: [0, 1, 0.5][i % 3] }));

const DATA = {
  classes: [classes, {}],
  'classes that the recipe names': [classes, { labels: ['neither', ...NAMES] }],
  'pairs of texts': [pairs, {}],
  'columns of other names': [pairs.map(({ label, ...rest }) => ({ ...rest, verdict: label })), { columns: { label: 'verdict' } }],
  numbers: [numbers, { regression: true }],
  'classes of which some are drawn': [classes, { maxSamples: 50 }],
  'several labels': [several, { multiple: true }],
  'several labels that the recipe names': [several, { multiple: true, labels: ['neither', ...NAMES] }],
  'several labels of which some are drawn': [several, { multiple: true, maxSamples: 50 }],
  'a column for each label': [flags, { multiple: true, labels: ['kind', 'other'] }],
  'queries with documents': [ranked, { regression: true, ranks: true }],
} as const;

/** Returns a table with every field in quotes. */
const tableOf = (values: readonly object[]): string =>
  [Object.keys(values[0] ?? {}), ...values.map(value => Object.values(value))]
    .map(row => row.map(field => `"${String(field).replaceAll('"', '""')}"`).join(','))
    .join('\r\n');

interface Changes {
  readonly labels?: readonly string[];
  readonly columns?: Readonly<Record<string, string>>;
  readonly regression?: boolean;
  readonly ranks?: boolean;
  readonly multiple?: boolean;
  readonly maxSamples?: number;
}

const settingsOf = (file: string, changes: Changes = {}, cacheDir = makeTemporaryFolder()) => {
  const { tokenizer, large } = inputOf(file, { template: '' });
  return {
    paths: [file],
    tokenizer,
    columns: {},
    regression: false,
    labels: [],
    maxLength: 40,
    seed: 3,
    ...changes,
    large: { ...large, cacheDir },
  };
};

async function opened(file: string, changes: Changes = {}, cacheDir?: string, threads = 1): Promise<LabeledInOrder> {
  const settings = settingsOf(file, changes, cacheDir);
  const large = { ...settings.large, threads };
  const found = await openLabeledInOrder({ ...settings, large, lazyBytes: 0, segmentBytes: 300 });
  if (found === undefined || 'reason' in found) throw new Error(found?.reason ?? 'small');
  return found;
}

const eager = (file: string, changes: Changes = {}) => {
  const { large: _, ...input } = settingsOf(file, changes);
  return loadLabeled(input);
};

describe.each(Object.entries(DATA))('%s', (_, [values, changes]) => {
  it.each([
    ['a.jsonl', lines(values)],
    ['a.json', JSON.stringify(values, undefined, 1)],
    ['a.csv', tableOf(values)],
  ])('are those that are tokenized first, in both parts (%s)', async (name, text) => {
    const file = writeData(name, text);
    const expected = await eager(file, changes);
    const cacheDir = makeTemporaryFolder();
    for (const found of [
      await opened(file, changes, cacheDir),
      await opened(file, changes, cacheDir),
      await opened(file, changes, undefined, 2),
    ]) {
      const { labels, texts, index } = found;
      expect(labels).toEqual(expected.labels);
      expect([index.read, index.drawnFrom]).toEqual([expected.report.read, expected.report.drawnFrom]);
      for (const validation of [0, 0.2]) {
        const parts = partTexts(found, labels, { validation, seed: 5, known: { vocabularySize: 2 ** 20 } });
        const split = splitSamples({ count: texts.length, validation, seed: 5, labels: expected.examples.map(({ label }) => label) });
        const train = split.train.map(place => expected.examples[place]);
        expect([...parts.train]).toEqual(train);
        expect(parts.held.map(place => parts.all.at(place))).toEqual(split.validation.map(place => expected.examples[place]));
        const isNumber = labels.length === 0;
        expect(train.map((_, i) => parts.targetOf(i))).toEqual(train.map(text => (isNumber ? -1 : text?.target)));
        const countOf = (name: string): number =>
          train.filter(text => (text?.names ? text.names.includes(name) : text?.label === name)).length;
        expect(parts.counts).toEqual(labels.map(countOf));
        if (validation === 0) expect([...countsOf(found).values()]).toEqual(labels.map(countOf));
      }
    }
  });
});

describe('what is wrong with a sample', () => {
  it.each([
    [{ text: 'x', label: 'new' }, { labels: NAMES }],
    [{ text: ' ', label: 'good' }, {}],
    [{ text: 'x' }, { maxSamples: 9 }],
    [{ text: 'x', score: 'y' }, { regression: true }],
    [{ text: 'x', labels: ['good', 'good'] }, { multiple: true }],
    [
      { query: 'x', document: ' ', score: 1 },
      { ranks: true, regression: true },
    ],
    [
      { query: 'x', document: 'y', score: 2 },
      { ranks: true, regression: true },
    ],
  ] satisfies [object, Changes][])('is reported before training, with the line (%j)', async (bad, changes) => {
    const values = 'ranks' in changes ? ranked : 'multiple' in changes ? several : 'regression' in changes ? numbers : classes;
    const file = writeData('a.jsonl', lines([...values, bad]));
    const expected = await eager(file, changes).catch((error: Error) => error.message);
    expect(expected).toContain('a.jsonl:141');
    await expect(opened(file, changes)).rejects.toThrow(String(expected));
  });
});

it('small data and unsupported files are read completely', async () => {
  const reason = 'the tokens of queries tell which are held out';
  expect(await openLabeledInOrder({ ...settingsOf(writeData('a.jsonl', lines(ranked))), lazyBytes: 0, whyFirst: reason })).toEqual({
    reason,
  });
  const file = writeData('a.jsonl', lines(classes));
  expect(await openLabeledInOrder({ ...settingsOf(file), lazyBytes: 10 ** 6 })).toBeUndefined();
  await expect(opened(writeData('a.txt', 'text'))).rejects.toThrow('is not JSON Lines, a list of JSON, a table, Parquet or Arrow');
});
