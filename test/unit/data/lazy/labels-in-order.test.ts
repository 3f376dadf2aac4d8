/** Tests that samples with labels are the same tokenized on demand as up front. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { CHATML } from '../../../support/models/byte-tokenizer.ts';
import { writeData } from '../data-files.ts';
import { eager, lines, opened, words } from './lazy-files.ts';

const NAMES = ['good', 'bad', '10', '9', 'neither'];
const named = Array.from({ length: 150 }, (_, i) => ({ text: words(i % 11 === 0 ? 60 : 8), label: NAMES[(i * i) % 7] ?? 'good' }));
const numbered = named.map(({ text }, i) => ({ text, label: i % 3 }));
const PROMPT = 'Text: {text}\nLabel:';

const DATA = {
  'whose names the data has': [named, { promptTemplate: PROMPT }],
  'whose names each prompt lists': [named, { promptTemplate: `{labels}. ${PROMPT}` }],
  'of which some are drawn, and whose names each prompt lists': [named, { promptTemplate: `{labels}. ${PROMPT}`, maxSamples: 40 }],
  'whose names the recipe has': [named, { promptTemplate: `{labels}. ${PROMPT}`, labels: NAMES }],
  'that are numbers of names': [numbered, { promptTemplate: PROMPT, labels: ['a', 'b', 'c'] }],
  'of which some are drawn': [named, { promptTemplate: PROMPT, maxSamples: 40 }],
  'of which some are drawn, and whose names the recipe has': [named, { promptTemplate: PROMPT, labels: NAMES, maxSamples: 40 }],
} as const;

describe.each([
  ['without a chat template', ''],
  ['with one', CHATML],
])('samples %s', (_, template) => {
  it.each(Object.entries(DATA))('with labels %s are those that are tokenized first', async (_, [values, settings]) => {
    const file = writeData('a.jsonl', lines(values));
    for (const maxLength of [80, 512])
      for (const [threads, segmentBytes] of [
        [1, 400],
        [2, 700],
      ] as const) {
        const opening = { template, settings, maxLength, threads, segmentBytes };
        const expected = await eager(file, opening);
        const { examples, labels, index } = await opened(file, opening);
        const { read, dropped, drawnFrom } = expected.report;
        expect(index).toMatchObject({ samples: expected.examples.length, read, dropped, ...(drawnFrom !== undefined && { drawnFrom }) });
        expect(labels).toEqual(expected.labels);
        expect([...examples]).toEqual([...expected.examples]);
        const own = Array.from({ length: examples.length }, (_, i) => examples.label(i));
        expect(own).toEqual(Array.from({ length: examples.length }, (_, i) => expected.examples.label(i)));
        expect(examples.select([5, 3]).label(0)).toBe(own[5]);
      }
  });
});

describe('labels', () => {
  const [values, settings] = DATA['whose names the data has'];

  it.each([settings, { promptTemplate: `{labels}. ${PROMPT}` }])('come from the cache (%j)', async settings => {
    const file = writeData('a.jsonl', lines(values));
    const cacheDir = makeTemporaryFolder();
    const first = await opened(file, { settings, cacheDir });
    expect(readdirSync(cacheDir)).toHaveLength(1);
    const logged: string[] = [];
    const second = await opened(file, { settings, cacheDir, logged });
    expect(logged).toEqual([]);
    expect([...second.examples]).toEqual([...first.examples]);
    expect(second.labels).toEqual(first.labels);
  });

  it.each([undefined, 20])(
    'that the recipe does not name are reported before training, with the line (max_samples %s)',
    async maxSamples => {
      const file = writeData('a.jsonl', lines([...values, { text: 'x', label: 'new' }]));
      const opening = { settings: { ...settings, labels: NAMES, ...(maxSamples !== undefined && { maxSamples }) } };
      for (const read of [eager, opened]) await expect(read(file, opening)).rejects.toThrow(/a\.jsonl:151: .*the label "new"/s);
    },
  );
});
