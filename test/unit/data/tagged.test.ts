/**
 * Tests words with tags: CoNLL files and JSON, the alignment of words and tokens as in Transformers' `word_ids`, and entities and scores as
 * in seqeval.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { taggedSource } from '../../../trainer/data/batch/text-batches.ts';
import { countEntities, entitiesOf, entityScores } from '../../../trainer/data/tagged/entities.ts';
import { loadTagged } from '../../../trainer/data/tagged/load-tagged.ts';
import { splitWords } from '../../../trainer/data/tagged/split-words.ts';
import { findTaggedColumns, taggedRecord } from '../../../trainer/data/tagged/tagged-record.ts';
import { createWordEncoder } from '../../../trainer/data/tagged/word-encoder.ts';
import type { DataRecord } from '../../../trainer/data/types.ts';
import { createTokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { elementAt, required, valueFor } from '../../../trainer/narrow.ts';
import { planTexts } from '../../../trainer/objective/classifier/text-reader.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-tagged-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, content: string): string => {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
};

/** A tokenizer with a token per letter, between 1 and 2. */
const letters = {
  encode: (text: string, { addSpecialTokens }: { readonly addSpecialTokens: boolean }): number[] => {
    const ids = [...text.replaceAll(' ', '')].map(letter => letter.codePointAt(0) ?? 0);
    return addSpecialTokens ? [1, ...ids, 2] : ids;
  },
  encodePair: () => ({ ids: [], types: [] }),
};
const load = (paths: readonly string[], more: Partial<Parameters<typeof loadTagged>[0]> = {}) =>
  loadTagged({ paths, tokenizer: letters, columns: {}, labels: [], maxLength: 64, seed: 1, ...more });

describe("entities are seqeval's", () => {
  const tags = z.array(z.array(z.string()));
  const entity = z.tuple([z.string(), z.number(), z.number()]);
  const scores = z.object({ precision: z.number(), recall: z.number(), 'f1-score': z.number() });
  const scored = z.object({ truth: tags, predicted: tags, entities: z.array(z.array(entity)), report: z.record(z.string(), scores) });
  const valuesOf = (found: z.infer<typeof scores> | undefined): number[] =>
    found ? [found.precision, found.recall, found['f1-score']] : [];
  const form = z.object({ bio: scored, iobes: scored, bilou: scored.pick({ truth: true, entities: true }) });
  const { bilou, ...schemes } = readGoldenJson('seqeval.json', form);

  test.each(Object.entries(schemes))('%s', (_, { truth, predicted, entities, report }) => {
    expect(truth.map(tags => entitiesOf(tags).map(({ type, start, end }) => [type, start, end]))).toEqual(entities);
    const counts = countEntities(truth.map((tags, i) => [tags, predicted[i] ?? []] as const));
    const { 'micro avg': micro, 'macro avg': _macro, 'weighted avg': _weighted, ...types } = report;
    const { precision, recall, f1 } = entityScores(counts.values());
    expect([precision, recall, f1]).toEqual(valuesOf(micro).map(value => expect.closeTo(value, 12)));
    expect([...counts.keys()].sort()).toEqual(Object.keys(types).sort());
    for (const [type, own] of Object.entries(types)) {
      const found = entityScores([valueFor(counts, type)]);
      expect([found.precision, found.recall, found.f1]).toEqual(valuesOf(own).map(value => expect.closeTo(value, 12)));
    }
  });

  test("BILOU tags are read as seqeval's strict mode reads them", () => {
    expect(bilou.truth.map(tags => entitiesOf(tags).map(({ type, start, end }) => [type, start, end]))).toEqual(bilou.entities);
  });

  test('scores without any entity are 0', () => {
    expect(entityScores(countEntities([[['O'], ['O']]]).values())).toEqual({ precision: 0, recall: 0, f1: 0 });
  });
});

describe('tokens belong to the words that word_ids gives', () => {
  const alignment = z.object({
    words: z.array(z.string()),
    max_length: z.number(),
    ids: z.array(z.number()),
    word_ids: z.array(z.number().nullable()),
  });
  const { kinds } = readGoldenJson('word_ids.json', z.object({ kinds: z.record(z.string(), z.array(alignment)) }));
  const tokenizerOf = (kind: string, change: (definition: string) => string = text => text) => {
    const definition = JSON.stringify(readGoldenJson(`tokenizers/${kind}.json.gz`, z.object({ tokenizer: z.unknown() })).tokenizer);
    const whole = definition.replaceAll('"CHARSMAP"', JSON.stringify(readGoldenJson('tokenizers/charsmap.json.gz', z.string())));
    return createTokenizer({ source: kind, files: new Map([['tokenizer.json', change(whole)]]) });
  };
  const hold = (tokenizer: ReturnType<typeof tokenizerOf>, cases: readonly z.infer<typeof alignment>[]): void => {
    const encoder = createWordEncoder(tokenizer);
    for (const { words, max_length: longest, ids, word_ids: owners } of cases) {
      const found = encoder.encode(words, longest);
      expect([...found.ids]).toEqual(ids);
      expect([...found.firstTokens]).toEqual(words.map((_, word) => owners.indexOf(word)));
    }
  };

  test.each(Object.entries(kinds))('%s', (kind, cases) => hold(tokenizerOf(kind), cases));

  test('a byte-level tokenizer without a prefix space still gives words their space', () => {
    const plain = tokenizerOf('roberta', text =>
      text.replace('"type":"ByteLevel","add_prefix_space":true', '"type":"ByteLevel","add_prefix_space":false'),
    );
    expect(plain.encode('two', { addSpecialTokens: false })).not.toEqual(plain.encode(' two', { addSpecialTokens: false }));
    hold(plain, required(kinds.roberta, 'roberta'));
  });
});

describe('CoNLL files', () => {
  const CONLL = '-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER\nBlackburn NNP I-NP I-PER\n';

  test('sentences with their lines, the first column and the last', async () => {
    const { examples, labels, report, scheme } = await load([write('a.conll', CONLL)]);
    expect(examples.map(({ tags, line }) => [tags, line])).toEqual([
      [['B-ORG', 'O'], 3],
      [['B-PER', 'I-PER'], 7],
    ]);
    expect(labels).toEqual(['O', 'B-ORG', 'B-PER', 'I-PER']);
    expect([scheme, report.labelCounts, report.targets]).toEqual(['entities', { ORG: 1, PER: 1 }, 4]);
    expect(examples[0]?.targets).toEqual(Int32Array.of(1, 0));
    expect(examples[0]?.firstTokens).toEqual(Int32Array.of(1, 3));
  });

  test('in .txt and .tsv files too, with comments, tabs and another column for tags', async () => {
    const text = '# sent_id = 1\n1\tNew York\tB-LOC\t-\n2\tsleeps\tO\t-\n';
    const { examples } = await load([write('b.tsv', text)], { columns: { tokens: '2', tags: '3' } });
    expect(examples.map(({ tags }) => tags)).toEqual([['B-LOC', 'O']]);
    const pos = await load([write('c.txt', '# NN\nnumber NN\n\nruns VB\n')]);
    expect([pos.labels, pos.scheme, pos.report.labelCounts]).toEqual([['NN', 'VB'], 'plain', { NN: 1, VB: 1 }]);
  });

  test('every wrong line is reported', async () => {
    const file = write('wrong.conll', 'a O\nb\n\nc O\n\nd x O\n');
    await expect(load([file])).rejects.toThrow(
      `${file}:2: one column, expected a word and its tag, separated by a space or a tab. Write a word and its tag on each line, and an empty line after each sentence.\n${file}:6: 3 columns, expected 2 as on the first line`,
    );
  });

  test('a tag without a role among tags with one, and two schemes', async () => {
    await expect(load([write('d.conll', 'a B-PER\n\nb LOC\n')])).rejects.toThrow(
      'the tag "LOC", expected O or a tag with a role, such as B-LOC',
    );
    await expect(load([write('e.conll', 'a S-PER\n\nb U-PER\n')])).rejects.toThrow('the tag "U-PER" is of the scheme BILOU');
  });

  test('tokens beyond max_length have no label', async () => {
    const { examples, report } = await load([write('f.conll', 'abc O\nde B-X\nf O\n')], { maxLength: 6 });
    expect([...(examples[0]?.firstTokens ?? [])]).toEqual([1, 4, -1]);
    expect([examples[0]?.ids.length, report.truncated, report.targets]).toEqual([6, 1, 2]);
  });
});

describe('samples of JSON', () => {
  const record = (value: DataRecord['value']): DataRecord => ({ file: 'x.jsonl', line: 4, value });
  const read = (value: DataRecord['value'], labels: readonly string[] = []) => {
    const sample = record(value);
    return taggedRecord(sample, findTaggedColumns(sample), labels);
  };

  test('lists of words and tags, by name or by number', () => {
    expect(read({ tokens: ['a', 'b'], ner_tags: [1, 0] }, ['O', 'B-X'])).toEqual({ words: ['a', 'b'], tags: ['B-X', 'O'] });
    expect(read({ words: ['a'], tags: ['B-X'] }).tags).toEqual(['B-X']);
  });

  test.each([
    [
      {
        text: 'Ann Lee, 😀 Bonn!',
        entities: [
          { start: 0, end: 7, label: 'PER' },
          { start: 11, end: 15, label: 'LOC' },
        ],
      },
    ],
    [
      {
        text: 'Ann Lee, 😀 Bonn!',
        label: [
          [11, 15, 'LOC'],
          [0, 7, 'PER'],
        ],
      },
    ],
    [
      {
        text: 'Ann Lee, 😀 Bonn!',
        entities: [
          { start_offset: 0, end_offset: 7, label: 'PER' },
          { start: 11, end: 15, type: 'LOC' },
        ],
      },
    ],
  ])('a text with the places of its entities, in characters as Python counts them %#', value => {
    expect(read(value)).toEqual({ words: ['Ann', 'Lee', ',', '😀', 'Bonn', '!'], tags: ['B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'O'] });
  });

  const ENTITY = { start: 0, end: 5, label: 'X' };
  test.each([
    [{ tokens: ['a', 'b'], tags: ['O'] }, 'x.jsonl:4: key "tags": 1 tags for 2 words, expected a tag for each word'],
    [{ tokens: ['a', 3], tags: ['O', 'O'] }, 'key "tokens": word 2 is a number, expected a string'],
    [{ tokens: 'a b', tags: [] }, 'key "tokens": a string, expected a list of words'],
    [{ tokens: [], tags: [] }, 'no words'],
    [{ tokens: ['a'], tags: [2] }, 'tag 1 is the number 2, expected a name such as B-PER. List the names of all tags under data: labels'],
    [{ tokens: ['a'], tags: [''] }, 'tag 1 is empty, expected a name such as B-PER'],
    [{ body: 'a' }, 'the keys "body", expected "tokens" and "tags"'],
    [{ text: 'seventy seven', entities: [ENTITY] }, 'the entity X at 0 to 5 covers "seven", which ends within the word "seventy"'],
    [{ text: 'one two', entities: [ENTITY, { start: 4, end: 7, label: 'Y' }] }, 'the entity X at 0 to 5 covers "one t"'],
    [{ text: 'one 2', entities: [ENTITY, { start: 4, end: 5, label: 'Y' }] }, 'the entity Y at 4 to 5 overlaps 0 to 5'],
    [{ text: 'one', entities: [ENTITY] }, 'ends behind the text, which has 3 characters'],
    [{ text: 'one', entities: [{ start: 2, end: 1, label: 'X' }] }, 'entity 1 is {"start":2,"end":1,"label":"X"}, expected'],
    [{ text: 'a   b', entities: [{ start: 1, end: 3, label: 'X' }] }, 'covers no word'],
  ])('%j is refused', (value, message) => {
    expect(() => read(value)).toThrow(message);
  });

  test('a tag that data.labels does not name is refused', () => {
    expect(() => read({ tokens: ['a'], tags: ['B-Y'] }, ['O', 'B-X'])).toThrow('the tag "B-Y", expected one of O, B-X');
    expect(() => read({ text: 'one 2', entities: [ENTITY] }, ['O', 'B-Y'])).toThrow('the tag "B-X", expected one of O, B-Y');
  });
});

test('words of a running text', () => {
  expect(splitWords("It's 東京, naïve e\u0301t!").map(({ text }) => text)).toEqual([
    'It',
    "'",
    's',
    '東',
    '京',
    ',',
    'naïve',
    'e\u0301t',
    '!',
  ]);
});

test('only the first token of each word has a label and a weight', async () => {
  const { examples } = await load([write('batch.conll', 'ab B-X\nc O\n\nd O\n')]);
  const plan = planTexts(examples, { batchSize: 3, maxLength: 64, seed: 1, shuffle: false, grouped: false });
  const source = taggedSource({ plan, examples, padId: 0, types: false });
  const batch = await source.fill(elementAt(plan.epoch(0), 0));
  expect([batch.targetCount, batch.targetsOfSamples]).toEqual([3, [2, 1]]);
  const { labels, weights } = batch.feeds(3);
  const { tokens } = batch.bucket;
  const counted = [...(weights ?? [])].flatMap((weight, at) => (weight > 0 ? [[Math.floor(at / tokens), at % tokens, labels?.[at]]] : []));
  expect(counted).toEqual([
    [0, 1, 1],
    [0, 3, 0],
    [1, 1, 0],
  ]);
});
