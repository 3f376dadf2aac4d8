/**
 * Tests GLUE in its usual forms: the official TSV files of each task, and the hub's columns. They are detected and reported, with correct
 * labels and pairs.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { SegmentTokenizer } from '../../../trainer/data/example/segment-encoder.ts';
import { glueTask } from '../../../trainer/data/glue.ts';
import { loadLabeled } from '../../../trainer/data/load/load-labeled.ts';
import { required } from '../../../trainer/narrow.ts';

const plain = (text: string) => [...text].map(letter => letter.codePointAt(0) ?? 0);
const tokenizer: SegmentTokenizer = {
  encode: (text, { addSpecialTokens }) => (addSpecialTokens ? [1, ...plain(text), 2] : plain(text)),
  encodePair: (first, second) => {
    const ids = [1, ...plain(first), 2, ...plain(second), 2];
    return { ids, types: ids.map((_, i) => Number(i > [...first].length + 1)) };
  },
};

const folder = mkdtempSync(join(tmpdir(), 'rowtune-glue-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = (...rows: readonly (readonly (string | number)[])[]): string => rows.map(row => `${row.join('\t')}\n`).join('');
function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
const load = (path: string, regression = false, labels: readonly string[] = []) =>
  loadLabeled({ paths: [path], tokenizer, columns: {}, regression, labels, maxLength: 400, seed: 0 });
const textOf = (ids: Int32Array) => String.fromCodePoint(...[...ids].map(id => (id < 10 ? 124 : id)));

interface Case {
  readonly name: string;
  readonly path: string;
  readonly text: string;
  readonly labels: readonly string[];
  /** Text with | for special tokens, and target, of the first two samples. */
  readonly samples: readonly (readonly [string, number])[];
  readonly metric: string;
  readonly regression?: true;
}

const MNLI = [
  'index',
  'promptID',
  'pairID',
  'genre',
  'sentence1_binary_parse',
  'sentence2_binary_parse',
  'sentence1_parse',
  'sentence2_parse',
];
const cases: readonly Case[] = [
  {
    name: 'CoLA',
    path: 'CoLA/train.tsv',
    text: lines(['gj04', 1, '', 'He said "yes.'], ['gj04', 0, '*', 'It\'s "him']),
    labels: ['0', '1'],
    samples: [
      ['|He said "yes.|', 1],
      ['|It\'s "him|', 0],
    ],
    metric: 'matthews',
  },
  {
    name: 'SST-2',
    path: 'SST-2/train.tsv',
    text: lines(['sentence', 'label'], ['a "fine film ', 1], ['dull', 0]),
    labels: ['0', '1'],
    samples: [
      ['|a "fine film |', 1],
      ['|dull|', 0],
    ],
    metric: 'accuracy',
  },
  {
    name: 'MRPC',
    path: 'MRPC/train.tsv',
    text: `\uFEFF${lines(['Quality', '#1 ID', '#2 ID', '#1 String', '#2 String'], [1, 70, 71, 'A "b', 'C'], [0, 72, 73, 'D', 'E"'])}`,
    labels: ['0', '1'],
    samples: [
      ['|A "b|C|', 1],
      ['|D|E"|', 0],
    ],
    metric: 'accuracy',
  },
  {
    name: 'QQP',
    path: 'QQP/train.tsv',
    text: lines(
      ['id', 'qid1', 'qid2', 'question1', 'question2', 'is_duplicate'],
      [1, 2, 3, 'Why?', 'How?', 0],
      [4, 5],
      [6, 7, 8, 'What?', '', 1],
    ),
    labels: ['0', '1'],
    samples: [
      ['|Why?|How?|', 0],
      ['|What?||', 1],
    ],
    metric: 'accuracy',
  },
  {
    name: 'STS-B',
    path: 'STS-B/train.tsv',
    text: lines(
      ['index', 'genre', 'filename', 'year', 'old_index', 'source1', 'source2', 'sentence1', 'sentence2', 'score'],
      [0, 'main', 'MSRvid', 2012, 1, 'none', 'none', 'A plane.', 'An air plane.', '5.000'],
      [1, 'main', 'MSRvid', 2012, 4, 'none', 'none', 'A man', 'A "flute', '3.800'],
    ),
    labels: [],
    samples: [
      ['|A plane.|An air plane.|', 5],
      ['|A man|A "flute|', 3.8],
    ],
    metric: 'pearson',
    regression: true,
  },
  {
    name: 'MNLI',
    path: 'MNLI/train.tsv',
    text: lines(
      [...MNLI, 'sentence1', 'sentence2', 'label1', 'gold_label'],
      [...MNLI.map(() => 'x'), 'One', 'Two', 'neutral', 'neutral'],
      [...MNLI.map(() => 'x'), 'Three', 'Four', 'entailment', 'contradiction'],
    ),
    labels: ['contradiction', 'neutral'],
    samples: [
      ['|One|Two|', 1],
      ['|Three|Four|', 0],
    ],
    metric: 'accuracy',
  },
  {
    name: 'MNLI',
    path: 'MNLI/dev_mismatched.tsv',
    text: lines(
      [...MNLI, 'sentence1', 'sentence2', 'label1', 'label2', 'label3', 'label4', 'label5', 'gold_label'],
      [...MNLI.map(() => 'x'), 'One', 'Two', 'neutral', 'entailment', 'entailment', 'neutral', 'entailment', 'entailment'],
      [...MNLI.map(() => 'x'), 'Three', 'Four', 'neutral', 'neutral', 'neutral', 'neutral', 'neutral', 'neutral'],
    ),
    labels: ['entailment', 'neutral'],
    samples: [
      ['|One|Two|', 0],
      ['|Three|Four|', 1],
    ],
    metric: 'accuracy',
  },
  {
    name: 'QNLI',
    path: 'QNLI/dev.tsv',
    text: lines(['index', 'question', 'sentence', 'label'], [0, 'When?', 'Then.', 'not_entailment'], [1, 'Who?', 'He.', 'entailment']),
    labels: ['entailment', 'not_entailment'],
    samples: [
      ['|When?|Then.|', 1],
      ['|Who?|He.|', 0],
    ],
    metric: 'accuracy',
  },
  {
    name: 'RTE',
    path: 'RTE/train.tsv',
    text: lines(['index', 'sentence1', 'sentence2', 'label'], [0, 'A', 'B', 'not_entailment'], [1, 'C', 'D', 'entailment']),
    labels: ['entailment', 'not_entailment'],
    samples: [
      ['|A|B|', 1],
      ['|C|D|', 0],
    ],
    metric: 'accuracy',
  },
];

describe.each(cases)('$path', ({ name, path, text, labels, samples, metric, regression = false }) => {
  it('is read as it is, and named with its metric', async () => {
    const { examples, labels: found, report } = await load(file(path, text), regression);
    expect(found).toEqual(labels);
    expect(examples.map(({ ids, target }) => [textOf(ids), target])).toEqual(samples);
    expect(report.formatReason).toContain(`GLUE's ${name}, judged by ${metric}`);
    expect(report.dropped).toEqual(name === 'QQP' ? { lines_with_too_few_fields: 1 } : {});
  });
});

describe('GLUE', () => {
  it('is known in Parquet files by its folder, where the columns fit', () => {
    expect(glueTask('data/cola/train-00000-of-00001.parquet', ['sentence', 'label', 'idx'])?.name).toBe('CoLA');
    expect(glueTask('data/sst2/validation-00000-of-00001.parquet', ['sentence', 'label', 'idx'])?.name).toBe('SST-2');
    expect(glueTask('glue/stsb/train.parquet', ['sentence1', 'sentence2', 'label', 'idx'])?.regression).toBe(true);
    expect(glueTask('mnli_train.parquet', ['premise', 'hypothesis', 'label', 'idx'])?.name).toBe('MNLI');
    expect(glueTask('data/cola/other.jsonl', ['text', 'label'])).toBeUndefined();
    expect(glueTask('mails.jsonl', ['sentence', 'label'])).toBeUndefined();
  });

  it('names what is wrong with test parts and with a task of the other kind', async () => {
    await expect(load(file('RTE/test.tsv', lines(['index', 'sentence1', 'sentence2'], [0, 'A', 'B'])))).rejects.toThrow(/dev\.tsv/);
    await expect(load(file('hub/test.jsonl', '{"sentence": "a", "label": -1, "idx": 0}\n'))).rejects.toThrow(/hide their labels/);
    const scores = required(
      cases.find(({ name }) => name === 'STS-B'),
      'the case',
    );
    await expect(load(file('again/train.tsv', scores.text))).rejects.toThrow(/task: sequence_regression/);
  });

  it('a file of another kind with a short line still fails by its line', async () => {
    const text = lines(['index', 'sentence1', 'sentence2', 'label'], [0, 'A', 'B', 'entailment'], [1, 'C']);
    await expect(load(file('other/train.tsv', text))).rejects.toMatchObject({ place: { line: 3 } });
  });

  it('validation labels are numbered by the training part', async () => {
    const { examples } = await load(file('RTE/dev.tsv', lines(['index', 'sentence1', 'sentence2', 'label'], [0, 'A', 'B', 'x'])), false, [
      'y',
      'x',
    ]);
    expect(examples[0]?.target).toBe(1);
  });
});
