/** Labeled texts: columns are found, pairs are joined and cut as by the tokenizer, labels are in order, and errors have a position. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createSegmentEncoder, type SegmentTokenizer } from '../../../trainer/data/example/segment-encoder.ts';
import { loadLabeled } from '../../../trainer/data/load/load-labeled.ts';

const [CLS, SEP] = [1, 2];
const plain = (text: string) => [...text].map(letter => 10 + letter.charCodeAt(0));

/** A tokenizer like BERT's: [CLS] first [SEP] second [SEP]. The separator after the first text belongs to that text. */
const tokenizer: SegmentTokenizer = {
  encode: (text, { addSpecialTokens }) => (addSpecialTokens ? [CLS, ...plain(text), SEP] : plain(text)),
  encodePair: (first, second) => {
    const [a, b] = [
      [CLS, ...plain(first), SEP],
      [...plain(second), SEP],
    ];
    return { ids: [...a, ...b], types: [...a.map(() => 0), ...b.map(() => 1)] };
  },
};

const folder = mkdtempSync(join(tmpdir(), 'rowtune-labeled-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const load = (path: string, changes: Partial<Parameters<typeof loadLabeled>[0]> = {}) =>
  loadLabeled({ paths: [path], tokenizer, columns: {}, regression: false, labels: [], maxLength: 20, seed: 0, ...changes });

describe('createSegmentEncoder', () => {
  const encoder = createSegmentEncoder(tokenizer);

  it("returns the tokenizer's own ids if nothing is cut", () => {
    expect([...encoder.encode('abc', undefined, 20).ids]).toEqual(tokenizer.encode('abc', { addSpecialTokens: true }));
    const { ids, types } = tokenizer.encodePair('abc', 'de');
    const found = encoder.encode('abc', 'de', 20);
    expect([...found.ids]).toEqual(ids);
    expect(found.secondAt).toBe(types.indexOf(1));
    expect(found.truncated).toBe(false);
  });

  it('cuts the longer text first, and keeps the special tokens', () => {
    const { ids, secondAt, truncated } = encoder.encode('abcdefgh', 'xy', 9);
    expect([...ids]).toEqual([CLS, ...plain('abcd'), SEP, ...plain('xy'), SEP]);
    expect([secondAt, truncated]).toEqual([6, true]);
    expect([...encoder.encode('abcdefgh', undefined, 5).ids]).toEqual([CLS, ...plain('abc'), SEP]);
    expect(encoder.encode('abcd', 'wxyz', 9).ids).toHaveLength(9);
  });

  it('refuses a tokenizer that changes the text itself', () => {
    const odd = {
      ...tokenizer,
      encode: (text: string, { addSpecialTokens }: { addSpecialTokens: boolean }) => plain(addSpecialTokens ? text.toUpperCase() : text),
    };
    expect(() => createSegmentEncoder(odd)).toThrow('special tokens');
  });
});

describe('loadLabeled', () => {
  it('finds the columns of a pair, and sorts labels that are numbers as numbers', async () => {
    const path = file('pair.tsv', 'sentence1\tsentence2\tlabel\nab\tcd\t10\nef\tgh\t2\nij\tkl\t10\n');
    const { examples, labels, report } = await load(path);
    expect(labels).toEqual(['2', '10']);
    expect(examples.map(({ target }) => target)).toEqual([1, 0, 1]);
    expect(examples[0]?.secondAt).toBe(4);
    expect(report.formatReason).toBe('"sentence1" with "sentence2" with "label"');
  });

  it('takes renamed columns and given labels by name or number', async () => {
    const path = file('renamed.jsonl', '{"body":"ab","kind":1}\n{"body":"cd","kind":"ham"}\n');
    const { examples } = await load(path, { columns: { text: 'body', label: 'kind' }, labels: ['ham', 'spam'] });
    expect(examples.map(({ label, target }) => [label, target])).toEqual([
      ['spam', 1],
      ['ham', 0],
    ]);
  });

  it('reads numbers as regression targets', async () => {
    const path = file('scores.jsonl', '{"sentence1":"a","sentence2":"b","score":2.5}\n{"sentence1":"c","sentence2":"d","score":"4"}\n');
    const { examples, labels } = await load(path, { regression: true });
    expect(labels).toEqual([]);
    expect(examples.map(({ target }) => target)).toEqual([2.5, 4]);
  });

  it.each([
    ['no label column', '{"text":"a"}\n', {}, /bad.jsonl:1.*label.*no such column/s],
    ['no text column', '{"txt":"a","label":0}\n', {}, /bad.jsonl:1.*text.*no such column/s],
    ['an unknown label', '{"text":"a","label":"egg"}\n', { labels: ['ham', 'spam'] }, /bad.jsonl:1.*egg/s],
    [
      'no number',
      '{"text":"a","label":0.5}\n{"text":"b","label":"many"}\n',
      { regression: true },
      /bad.jsonl:2.*"many", expected a number/s,
    ],
    ['empty text', '{"text":" ","label":0}\n', {}, /bad.jsonl:1.*empty text/s],
  ])('names the place of %s', async (_, text, changes, message) => {
    await expect(load(file('bad.jsonl', text), changes)).rejects.toThrow(message);
  });
});
