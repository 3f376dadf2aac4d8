/** Tests pairs of answers: layouts of other tools, what both sides share, and errors in pairs. */
import { describe, expect, it, test } from 'vitest';
import { BUCKETS, freeOrder } from '../../../trainer/data/batch/batch-settings.ts';
import { pairSource, planPairs } from '../../../trainer/data/batch/pair-batches.ts';
import { DataError } from '../../../trainer/data/data-error.ts';
import type { DatasetSettings } from '../../../trainer/data/load/load-dataset.ts';
import { loadPairs } from '../../../trainer/data/load/load-pairs.ts';
import type { ChatRenderer, TokenSequence } from '../../../trainer/data/types.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { rejectionOf } from '../../support/rejection-of.ts';
import { calls, characterTokenizer, renderCalls, renderTurns } from './character-tokenizer.ts';
import { datasetSettings, writeData } from './data-files.ts';

const tokenizer = characterTokenizer();
const settings: DatasetSettings = { ...datasetSettings, promptTemplate: '' };
const load = (values: readonly object[], more: { maxLength?: number; chatRenderer?: ChatRenderer; settings?: DatasetSettings } = {}) =>
  loadPairs({
    paths: [writeData('pairs.jsonl', values.map(value => JSON.stringify(value)).join('\n'))],
    settings,
    tokenizer,
    maxLength: 200,
    maxPositions: 400,
    ...more,
  });

/** Returns the text, with the compared part in brackets. */
function shown({ ids, train }: TokenSequence): string {
  let text = '';
  for (const [i, id] of ids.entries()) {
    if (train[i] === 1 && train[i - 1] !== 1) text += '[';
    if (train[i] !== 1 && train[i - 1] === 1) text += ']';
    text += tokenizer.decode([id], { skipSpecialTokens: false });
  }
  return train.at(-1) === 1 ? `${text}]` : text;
}

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const asked = '<turn>user:Hi<eos>\n<turn>assistant:';

describe('a chat that is too long', () => {
  const long = [calls('add'), { role: 'tool', content: '3' }, assistant('it is three')];
  const cut = { maxLength: 30, chatRenderer: renderCalls, settings: { ...settings, truncation: 'turns' } } as const;

  it('ends after an answer that fits, and is left out where it would end in a call', async () => {
    const prompt = [user('Hi')];
    const { samples, report } = await load(
      [
        { prompt, chosen: long, rejected: [assistant('no')] },
        { prompt, chosen: [assistant('yes')], rejected: [calls('subtract_and_add')] },
      ],
      cut,
    );
    expect(samples.map(({ chosen, rejected }) => [shown(chosen), shown(rejected)])).toEqual([[`${asked}[add<eos>]`, `${asked}[no<eos>]`]]);
    expect(report).toMatchObject({ dropped: { cut_off: 1 }, truncated: 1 });
    expect(report.notes).toEqual({ 'end after an earlier answer, because the next one does not fit into max_length': 1 });
  });

  it('is cut at the last token that fits, if asked', async () => {
    const { samples } = await load([{ prompt: [user('Hi')], chosen: long, rejected: [calls('subtract_and_add')] }], { ...cut, settings });
    expect(samples.map(({ rejected }) => shown(rejected))).toEqual([`${asked}[subtract_]`]);
  });
});

describe('layouts', () => {
  const chats: readonly (readonly [string, object])[] = [
    ['TRL: prompt and answers as lists', { prompt: [user('Hi')], chosen: [assistant('yes')], rejected: [assistant('no')] }],
    ['TRL: whole chats', { chosen: [user('Hi'), assistant('yes')], rejected: [user('Hi'), assistant('no')] }],
    [
      'UltraFeedback: a prompt, repeated in both',
      { prompt: 'Hi', chosen: [user('Hi'), assistant('yes')], rejected: [user('Hi'), assistant('no')] },
    ],
    [
      'LLaMA-Factory: conversations',
      { conversations: [{ from: 'human', value: 'Hi' }], chosen: { from: 'gpt', value: 'yes' }, rejected: { from: 'gpt', value: 'no' } },
    ],
    ['LLaMA-Factory: instruction', { instruction: 'Hi', input: '', chosen: 'yes', rejected: 'no' }],
    ['Axolotl: messages', { messages: [user('Hi')], chosen: assistant('yes'), rejected: assistant('no') }],
    ['Intel: question', { system: '', question: 'Hi', chosen: 'yes', rejected: 'no' }],
  ];
  test.each(chats)('%s', async (_, value) => {
    const { samples: pairs } = await load([value], { chatRenderer: renderTurns });
    expect(pairs.map(({ chosen, rejected }) => [shown(chosen), shown(rejected)])).toEqual([[`${asked}[yes<eos>]`, `${asked}[no<eos>]`]]);
  });

  test('plain texts with a prompt end with the end token', async () => {
    const { samples: pairs } = await load([{ prompt: 'Q: ', chosen: 'yes', rejected: 'no' }], { chatRenderer: renderTurns });
    expect(pairs.map(({ chosen, rejected }) => [shown(chosen), shown(rejected)])).toEqual([['<bos>Q: [yes<eos>]', '<bos>Q: [no<eos>]']]);
  });

  test('the common beginning of two texts is their prompt, up to a whole word', async () => {
    const { samples: pairs } = await load([{ chosen: 'Human: Hi Assistant: yesterday', rejected: 'Human: Hi Assistant: yes' }]);
    expect(pairs.map(({ chosen, rejected }) => [shown(chosen), shown(rejected)])).toEqual([
      ['<bos>Human: Hi Assistant:[ yesterday<eos>]', '<bos>Human: Hi Assistant:[ yes<eos>]'],
    ]);
  });

  test('all answers after the common prompt are compared', async () => {
    const shared = [user('a'), assistant('b')];
    const { samples: pairs } = await load(
      [{ chosen: [...shared, user('c'), assistant('d'), user('e'), assistant('f')], rejected: [...shared, user('g'), assistant('h')] }],
      { chatRenderer: renderTurns },
    );
    expect(shown(elementAt(pairs, 0).chosen)).toMatch(/assistant:b<eos>.*\[d<eos>\].*\[f<eos>\]$/s);
    expect(shown(elementAt(pairs, 0).rejected)).toMatch(/assistant:b<eos>.*\[h<eos>\]$/s);
  });
});

test('turns before the answers are context in any case, and may say so', async () => {
  const shared = [user('a'), { ...assistant('b'), train: false }];
  const { samples: pairs } = await load(
    [{ chosen: [...shared, { ...user('c'), train: false }, assistant('d')], rejected: [...shared, user('c'), assistant('e')] }],
    { chatRenderer: renderTurns },
  );
  expect(shown(elementAt(pairs, 0).chosen)).toMatch(/assistant:b<eos>.*\[d<eos>\]$/s);
});

describe('length', () => {
  test('an answer that is too long loses its end, and the prompt stays', async () => {
    const { samples: pairs, report } = await load([{ prompt: 'Q: ', chosen: 'y'.repeat(99), rejected: 'no' }], { maxLength: 10 });
    expect(shown(elementAt(pairs, 0).chosen)).toBe('<bos>Q: [yyyyyy]');
    expect(shown(elementAt(pairs, 0).rejected)).toBe('<bos>Q: [no<eos>]');
    expect(report).toMatchObject({ kept: 1, truncated: 1, format: 'preference' });
  });
  test('a prompt that fills the length, and answers that only differ beyond it, are left out and counted', async () => {
    const value = { prompt: 'Q: ', chosen: 'yes', rejected: 'no' };
    const { samples: pairs, report } = await load(
      [value, { ...value, prompt: 'Q'.repeat(40) }, { ...value, chosen: `${'y'.repeat(20)}a`, rejected: `${'y'.repeat(20)}b` }],
      { maxLength: 10 },
    );
    expect(pairs.map(({ line }) => line)).toEqual([1]);
    expect(report.dropped).toEqual({ cut_off: 1, 'the same when cut to length': 1 });
  });
  test('an answer that begins with its prompt is counted', async () => {
    const { report } = await load([{ prompt: 'Q: ', chosen: 'Q: yes', rejected: 'no' }]);
    expect(report.notes).toEqual({ 'have a chosen answer that begins with its prompt': 1 });
  });
});

describe('what is wrong', () => {
  const bad: readonly (readonly [string, object, string | undefined, RegExp])[] = [
    ['sides that are the same', { prompt: 'Q', chosen: 'yes', rejected: 'yes' }, 'rejected', /the same answer as the chosen one/],
    ['the same chats', { chosen: [user('Hi'), assistant('a')], rejected: [user('Hi'), assistant('a')] }, 'rejected', /the same answer/],
    [
      'no answer',
      { prompt: [user('Hi')], chosen: [user('there')], rejected: [assistant('no')] },
      'chosen',
      /no turn of the role assistant/,
    ],
    ['nothing before the answers', { chosen: [assistant('yes')], rejected: [assistant('no')] }, 'chosen', /no turn before the answer/],
    [
      'an unknown role',
      { prompt: [user('Hi')], chosen: [{ role: 'robot', content: 'x' }], rejected: [assistant('no')] },
      'chosen[0].role',
      /unknown role "robot"/,
    ],
    [
      'a turn of an answer that is not trained',
      {
        prompt: [user('Hi')],
        chosen: [{ ...assistant('first'), train: false }, user('more'), assistant('yes')],
        rejected: [assistant('no')],
      },
      'chosen[0].train',
      /false for a turn of an answer, expected every answer after the prompt to be trained/,
    ],
    [
      'an answer of a whole chat that weighs nothing',
      {
        chosen: [user('Hi'), assistant('yes')],
        rejected: [user('Hi'), { ...assistant('no'), weight: 0 }],
      },
      'rejected[1].weight',
      /0 for a turn of an answer/,
    ],
    ['a side that is empty', { prompt: 'Q', chosen: 'yes', rejected: ' ' }, 'rejected', /empty text/],
    ['a prompt that is a number', { prompt: 3, chosen: 'yes', rejected: 'no' }, 'prompt', /a number, expected a string/],
  ];
  test.each(bad)('%s', async (_, value, key, message) => {
    const good = { prompt: 'Q', chosen: 'yes', rejected: 'no' };
    const error = await rejectionOf(load([good, value], { chatRenderer: renderTurns }), DataError);
    expect(error.message).toMatch(message);
    expect(error.place).toMatchObject({ line: 2, key });
  });
});

describe('batches', () => {
  const sequence = (...answer: number[]): TokenSequence => ({
    ids: Int32Array.of(7, 8, ...answer),
    train: Uint8Array.of(0, 0, ...answer.map(() => 1)),
  });
  const pairs = [
    { chosen: sequence(10, 11), rejected: sequence(12), file: 'x', line: 1 },
    { chosen: sequence(13), rejected: sequence(14, 15, 16), file: 'x', line: 2 },
    { chosen: sequence(17), rejected: sequence(18), file: 'x', line: 3 },
  ];
  it('puts both answers into neighboring rows, and counts pairs', async () => {
    const plan = planPairs(pairs, { batchSize: 2, maxLength: 16, packing: false, ...freeOrder(0), ...BUCKETS });
    const baseNlls = (index: number) => Float32Array.from({ length: 3 }, (_, i) => 10 * index + i);
    const source = pairSource({ plan, pairs, padId: 0, baseNlls });
    const batches = await Promise.all(plan.epoch(0).map(each => source.fill(each)));
    expect(batches.map(({ sampleIndices, targetCount }) => [sampleIndices, targetCount])).toEqual([
      [[0, 1], 2],
      [[2], 1],
    ]);
    for (const batch of batches) {
      const { ids = [], targetIds, targetRows, targetPresence = [], baseNll, lossWeights = [] } = batch.feeds(4);
      const { tokens, batch: rows } = batch.bucket;
      expect(rows).toBe(4);
      expect([...lossWeights]).toEqual([0.25, batch.targetCount === 2 ? 0.25 : 0]);
      const own = batch.sampleIndices.flatMap(pair => {
        const { chosen, rejected } = elementAt(pairs, pair);
        return [chosen, rejected];
      });
      for (const [row, { ids: wanted }] of own.entries())
        expect([...ids.slice(row * tokens, row * tokens + wanted.length)]).toEqual([...wanted]);
      const targets = own.flatMap(({ ids: all }, row) =>
        [...all.slice(2)].map((id, i) => [id, row, 1, 10 * (2 * (batch.sampleIndices[row >> 1] as number) + (row & 1)) + i]),
      );
      const found = targets.map((_, i) => [targetIds?.[i], targetRows?.[i], targetPresence?.[i], baseNll?.[i]]);
      expect(found).toEqual(targets);
      expect(targetPresence.length).toBeGreaterThanOrEqual(targets.length);
      expect([...targetPresence.slice(targets.length)].every(presence => presence === 0)).toBe(true);
    }
  });
});
