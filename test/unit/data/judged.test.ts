/** Tests judged answers: layouts of other tools, errors in samples, mismatched answers of a batch, and the balance of both kinds. */
import { describe, expect, test } from 'vitest';
import { BUCKETS } from '../../../trainer/data/batch/batch-settings.ts';
import { fixedBatches, planFixed, withMismatched } from '../../../trainer/data/batch/judged-batches.ts';
import { DataError } from '../../../trainer/data/data-error.ts';
import type { DatasetSettings } from '../../../trainer/data/load/load-dataset.ts';
import { loadJudged } from '../../../trainer/data/load/load-judged.ts';
import type { ChatRenderer, TokenSequence } from '../../../trainer/data/types.ts';
import { describeImbalance } from '../../../trainer/protocol/checks/judgment-balance.ts';
import { rejectionOf } from '../../support/rejection-of.ts';
import { calls, characterTokenizer, renderCalls, renderTurns } from './character-tokenizer.ts';
import { datasetSettings, writeData } from './data-files.ts';

const tokenizer = characterTokenizer();
const load = (values: readonly object[], more: { maxLength?: number; chatRenderer?: ChatRenderer; settings?: DatasetSettings } = {}) =>
  loadJudged({
    paths: [writeData('judged.jsonl', values.map(value => JSON.stringify(value)).join('\n'))],
    settings: { ...datasetSettings, promptTemplate: '' },
    tokenizer,
    maxLength: 200,
    maxPositions: 400,
    ...more,
  });

/** Returns only the answer. */
const answerOf = ({ ids, train }: TokenSequence): string =>
  tokenizer.decode(
    [...ids].filter((_, i) => train[i] === 1),
    { skipSpecialTokens: false },
  );

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

test('a chat that is too long is cut after an answer that fits, and dropped if it would end in a call', async () => {
  const long = [calls('add'), { role: 'tool', content: '3' }, assistant('it is three')];
  const { samples, report } = await load(
    [
      { prompt: [user('Hi')], completion: long, label: true },
      { prompt: [user('Hi')], completion: [calls('subtract_and_add')], label: false },
    ],
    { maxLength: 30, chatRenderer: renderCalls, settings: { ...datasetSettings, promptTemplate: '', truncation: 'turns' } },
  );
  expect(samples.map(({ sequence }) => answerOf(sequence))).toEqual(['add<eos>']);
  expect(report).toMatchObject({ dropped: { cut_off: 1 }, truncated: 1 });
  expect(report.notes).toEqual({ 'end after an earlier answer, because the next one does not fit into max_length': 1 });
});

describe('layouts', () => {
  const layouts: readonly (readonly [string, object, boolean])[] = [
    ['TRL: texts', { prompt: 'Hi', completion: 'yes', label: true }, true],
    ['TRL: lists of messages', { prompt: [user('Hi')], completion: [assistant('yes')], label: false }, false],
    ['a prompt as text, an answer as messages', { prompt: 'Hi', completion: [assistant('yes')], label: 1 }, true],
    [
      'LLaMA-Factory: messages, whose last answer is judged',
      { messages: [user('a'), assistant('b'), user('c'), assistant('yes')], label: true },
      true,
    ],
    [
      'LLaMA-Factory: conversations',
      {
        conversations: [
          { from: 'human', value: 'Hi' },
          { from: 'gpt', value: 'yes' },
        ],
        kto_tag: false,
      },
      false,
    ],
    ['LLaMA-Factory: instruction', { instruction: 'Hi', output: 'yes', kto_tag: 'True' }, true],
  ];
  test.each(layouts)('%s', async (_, value, isGood) => {
    const { samples } = await load([value], { chatRenderer: renderTurns });
    expect(samples.map(sample => [answerOf(sample.sequence), sample.isGood])).toEqual([['yes<eos>', isGood]]);
  });
  test('a pair becomes a good and a bad answer', async () => {
    const { samples, report } = await load([{ prompt: 'Hi', chosen: 'yes', rejected: 'no' }]);
    expect(samples.map(({ sequence, isGood }) => [answerOf(sequence), isGood])).toEqual([
      ['yes<eos>', true],
      ['no<eos>', false],
    ]);
    expect(report).toMatchObject({ read: 1, kept: 2, labelCounts: { desirable: 1, undesirable: 1 } });
  });
});

describe('what is wrong', () => {
  const bad: readonly (readonly [string, object, string | undefined, RegExp])[] = [
    ['no judgment', { prompt: 'Q', completion: 'yes' }, 'label', /expected true \(a good answer\) or false/],
    ['a judgment that is a word', { prompt: 'Q', completion: 'yes', label: 'maybe' }, 'label', /expected true/],
    ['an answer that is empty', { prompt: 'Q', completion: ' ', label: true }, 'completion', /empty text/],
    [
      'a chat without an answer',
      { prompt: [user('Q')], completion: [user('R')], label: true },
      'completion',
      /no turn of the role assistant/,
    ],
  ];
  test.each(bad)('%s', async (_, value, key, message) => {
    const error = await rejectionOf(
      load([{ prompt: 'Q', completion: 'yes', label: true }, value], { chatRenderer: renderTurns }),
      DataError,
    );
    expect(error.message).toMatch(message);
    expect(error.place).toMatchObject({ line: 2, key });
  });
  test('texts without a prompt are refused', async () => {
    await expect(load([{ text: 'a', label: 'b' }])).rejects.toThrow(/no prompt with an answer that was judged/);
  });
});

describe('batches', () => {
  /** A prompt of one token, 100 + n, and an answer of n + 1 tokens. */
  const answers = Array.from(
    { length: 7 },
    (_, n): TokenSequence => ({
      ids: Int32Array.of(100 + n, ...new Array(n + 1).fill(n)),
      train: Uint8Array.of(0, ...new Array(n + 1).fill(1)),
    }),
  );
  const settings = { batchSize: 3, maxLength: 6, packing: false, shuffle: true, grouped: false, seed: 3, ...BUCKETS };
  const short = answers.map(({ ids, train }) => ({ ids: ids.slice(0, 6), train: train.slice(0, 6) }));
  const batches = fixedBatches(short, settings);
  const samples = withMismatched(short, batches, settings.maxLength);

  test('each prompt is followed by the answer of the sample before it, and one that is alone by one of the batch before', () => {
    expect(batches.map(batch => batch.length)).toEqual([3, 3, 1]);
    const otherOf = (sample: number) => samples[sample]?.[1]?.ids.at(-1);
    for (const [i, batch] of batches.entries())
      for (const [place, sample] of batch.entries()) {
        expect(samples[sample]?.[1]?.ids[0]).toBe(100 + sample);
        expect(otherOf(sample)).toBe(place > 0 ? batch[place - 1] : batch.length > 1 ? batch.at(-1) : batches[i - 1]?.at(-1));
        expect(samples[sample]?.[1]?.ids.length).toBeLessThanOrEqual(settings.maxLength);
      }
  });
  test('a batch has the same samples in every epoch, in an order that changes, and fits its shape', () => {
    const plan = planFixed(samples, batches, settings);
    const epochs = Array.from({ length: 6 }, (_, epoch) => plan.epoch(epoch).map(({ rows }) => rows.flatMap(row => row.sequences)));
    for (const epoch of epochs) expect([...epoch].sort()).toEqual([...batches].sort());
    expect(new Set(epochs.map(epoch => JSON.stringify(epoch))).size).toBeGreaterThan(1);
    for (const { bucket, rows } of plan.epoch(0)) {
      expect(bucket.batch).toBe(6);
      expect(rows.every(({ length }) => length <= bucket.tokens)).toBe(true);
      expect(rows.reduce((sum, { targets }) => sum + targets, 0)).toBeLessThanOrEqual(bucket.targets);
    }
    expect(plan.batchesPerEpoch).toBe(3);
  });
  test('the parts of several processes are the whole batches, in order and of one shape', () => {
    const parted = (own: number) => ({ ...settings, batchSize: 2, parts: { count: 2, own } });
    const whole = fixedBatches(short, { ...settings, batchSize: 4 });
    expect(fixedBatches(short, parted(1))).toEqual(whole);
    const rows = withMismatched(short, whole, settings.maxLength);
    const plans = [0, 1].map(own => planFixed(rows, whole, parted(own)));
    for (const epoch of [0, 1, 2]) {
      const [first = [], second = []] = plans.map(plan => plan.epoch(epoch));
      expect(first.map(({ bucket }) => bucket)).toEqual(second.map(({ bucket }) => bucket));
      expect(first.every(({ bucket }) => bucket.batch === 4)).toBe(true);
      const joined = first.map((batch, i) => [...batch.rows, ...(second[i]?.rows ?? [])].flatMap(({ sequences }) => sequences));
      expect([...joined].sort()).toEqual([...whole].sort());
    }
    expect(plans.every(({ paddingShare }) => paddingShare >= 0)).toBe(true);
  });
});

describe('balance', () => {
  const even = { desirable_weight: 1, undesirable_weight: 1 };
  test.each([
    [{ desirable: 10, undesirable: 10 }, even],
    [{ desirable: 4, undesirable: 3 }, even],
    [
      { desirable: 10, undesirable: 40 },
      { desirable_weight: 4.5, undesirable_weight: 1 },
    ],
  ])('%j with %j is as advised', (counts, weights) => expect(describeImbalance(counts, weights)).toBeUndefined());
  test('following the advice ends the warning', () => {
    for (const counts of [
      { desirable: 10, undesirable: 40 },
      { desirable: 90, undesirable: 7 },
    ]) {
      const { code, advice = '' } = describeImbalance(counts, even) ?? {};
      expect(code).toBe('unbalanced-judgments');
      const [, name = '', weight] = advice.match(/preference\.(\w+): ([\d.]+)$/) ?? [];
      expect(describeImbalance(counts, { ...even, [name]: Number(weight) })).toBeUndefined();
    }
  });
  test('answers of one kind only are reported', () => {
    expect(describeImbalance({ desirable: 3, undesirable: 0 }, even)).toMatchObject({
      code: 'one-judgment',
      problem: 'all 3 answers are desirable',
    });
  });
});
