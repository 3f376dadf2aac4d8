/** Tests that samples of Parquet files, which are copied to the cache, equal those tokenized up front. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openLabeledInOrder } from '../../../../trainer/data/lazy/labeled-in-order.ts';
import { jsonOf } from '../../../../trainer/data/lazy/spool-samples.ts';
import { loadLabeled } from '../../../../trainer/data/load/load-labeled.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { writeData } from '../data-files.ts';
import { eager, inputOf, lines, opened } from './lazy-files.ts';

const fixture = (name: string): string => join(import.meta.dirname, '..', 'fixtures', name);
const PROMPT = { promptTemplate: 'Text: {text}' };
const DATA = {
  chats: [fixture('messages.parquet'), {}],
  labels: [fixture('labeled.zstd.parquet'), PROMPT],
  'long texts': [fixture('groups.parquet'), PROMPT],
  'a part of them': [fixture('groups.parquet'), { ...PROMPT, maxSamples: 20 }],
  'several files': [
    [fixture('labeled.snappy.parquet'), writeData('a.jsonl', lines([{ text: 'other', label: 'x' }])), fixture('labeled.gzip.parquet')],
    PROMPT,
  ],
} as const;

describe.each(Object.entries(DATA))('%s', (_, [paths, settings]) => {
  it('have the same samples as if tokenized first, from the cache too', async () => {
    const opening = { settings, cacheDir: makeTemporaryFolder(), logged: [] };
    const expected = await eager(paths, { settings });
    for (const _ of ['made', 'cached']) {
      const { examples, labels, index } = await opened(paths, opening);
      const { read, dropped, drawnFrom } = expected.report;
      expect(index).toMatchObject({ read, dropped, ...(drawnFrom !== undefined && { drawnFrom }) });
      expect(labels).toEqual(expected.labels);
      expect([...examples]).toEqual([...expected.examples]);
    }
    expect(opening.logged).toEqual([]);
    expect(readdirSync(opening.cacheDir)).toEqual([expect.stringMatching(/\.places$/)]);
  });
});

it('texts of classifiers are the same too', async () => {
  const { tokenizer, large } = inputOf('', { template: '' });
  const input = { paths: [fixture('groups.parquet')], tokenizer, columns: {}, regression: false, labels: [], maxLength: 50, seed: 1 };
  const expected = await loadLabeled(input);
  const found = await openLabeledInOrder({ ...input, large, lazyBytes: 0 });
  if (found === undefined || 'reason' in found) throw new Error(found?.reason ?? 'small');
  expect(found.labels).toEqual(expected.labels);
  expect([...found.texts].map(({ value: _, ...text }) => text)).toEqual(expected.examples.map(({ target: _, ...text }) => text));
});

describe('copies', () => {
  const paths = fixture('labeled.zstd.parquet');
  it('are made again if they are damaged', async () => {
    const cacheDir = makeTemporaryFolder();
    const first = [...(await opened(paths, { settings: PROMPT, cacheDir })).examples];
    const [folder = ''] = readdirSync(cacheDir);
    const file = join(cacheDir, folder, 'records.bin');
    const bytes = readFileSync(file);
    bytes.writeUInt8((bytes[20] ?? 0) ^ 1, 20);
    writeFileSync(file, bytes);
    const logged: string[] = [];
    expect([...(await opened(paths, { settings: PROMPT, cacheDir, logged })).examples]).toEqual(first);
    expect(logged).toEqual([expect.stringMatching(/^warning: the places of samples .* copies of samples do not match/)]);
  });

  it('need a cache that can be written', async () => {
    const cacheDir = writeData('file', '');
    await expect(opened(paths, { settings: PROMPT, cacheDir })).rejects.toThrow(
      'the cache, into which their samples are copied, cannot be written',
    );
  });

  it.each([{ when: new Date(0) }, { list: [Number.NaN] }, { deep: { bytes: new Uint8Array(2) } }])(
    'are not made of what text cannot hold: %j',
    value => {
      expect(() => jsonOf('a.parquet', value)).toThrow('a.parquet has dates, bytes or numbers that text cannot hold');
      expect(jsonOf('a.parquet', { one: [1, null, 'x', { y: true }] })).toBe('{"one":[1,null,"x",{"y":true}]}');
    },
  );

  it('are not made of bad data, whose error is the same as if tokenized first', async () => {
    const more = writeData('a.jsonl', '{"text": "x"}\n{"text": " ", "label": "y"}\n{');
    const expected = await eager([paths, more], { settings: PROMPT }).catch((error: Error) => error.message);
    expect(expected).toContain('a.jsonl:3');
    const cacheDir = makeTemporaryFolder();
    await expect(opened([paths, more], { settings: PROMPT, cacheDir })).rejects.toThrow('a.jsonl:3');
    expect(readdirSync(cacheDir)).toEqual([]);
  });
});
