/** Tests that answers written together equal those of each prompt alone; one that ends, fails or is canceled does not affect the others. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AnswerParams } from '../../../trainer/generate/answer-text.ts';
import { BatchedAnswers } from '../../../trainer/generate/batched-answers.ts';
import { type Decoder, openDecoder } from '../../../trainer/generate/decoder.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { openFast } from '../../support/engines.ts';
import { TINY_LLAMA } from '../../support/models/tiny-adapter.ts';

/** More positions than the tiny model's config has, so that prompts take several chunks. */
const TOKENS = 192;
const tokenizer = { eosIds: [3], decodeStream: () => ({ push: (id: number) => `${id} `, end: () => '' }) };
const prompts = [5, 80, 1, 40, 130].map((length, seed) => Array.from({ length }, (_, i) => (i * 37 + 11 + 5 * seed) % 100));

let alone: BatchedAnswers;
let together: BatchedAnswers;
const opened: Decoder[] = [];

beforeAll(async () => {
  const engine = await openFast();
  const folder = await openModel(TINY_LLAMA);
  const model = { ...causalModel(folder.config), maxPositions: TOKENS };
  const open = async (texts: number): Promise<BatchedAnswers> => {
    const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens: TOKENS, texts });
    opened.push(decoder);
    return new BatchedAnswers(decoder, tokenizer);
  };
  alone = await open(1);
  together = await open(3);
  await folder.weights.close();
});
afterAll(async () => {
  for (const decoder of opened) await decoder.dispose();
});

const ask = (ids: readonly number[], change: Partial<AnswerParams> & { readonly temperature?: number } = {}): AnswerParams => ({
  ids,
  maxTokens: TOKENS,
  options: { temperature: change.temperature ?? 0, topK: 0, topP: 1, seed: 7, maxNewTokens: 20 },
  ...change,
});
const idsOf = async (answer: Promise<{ readonly ids: readonly number[] }>): Promise<readonly number[]> => (await answer).ids;

describe.each([
  ['the likeliest tokens', 0],
  ['drawn tokens', 1.5],
])('%s', (_, temperature) => {
  test('are the same as for each prompt alone', async () => {
    const expected: (readonly number[])[] = [];
    for (const ids of prompts) expected.push(await idsOf(alone.answer(ask(ids, { temperature }))));
    const found = await Promise.all(prompts.map(ids => idsOf(together.answer(ask(ids, { temperature })))));
    expect(found).toEqual(expected);
    expect(new Set(found.map(String)).size).toBe(prompts.length);
  });
});

test('run at the same time, and the next one starts when one ends', async () => {
  const order: number[] = [];
  const answers = prompts.map((ids, i) => together.answer(ask(ids, { onToken: () => void order.push(i) })));
  await Promise.all(answers);
  const first = (i: number): number => order.indexOf(i);
  const last = (i: number): number => order.lastIndexOf(i);
  // Three slots: the first three answers overlap, and the fourth starts when one of them is done.
  expect(first(1)).toBeLessThan(last(0));
  expect(first(2)).toBeLessThan(last(0));
  expect(first(3)).toBeGreaterThan(Math.min(last(0), last(1), last(2)));
  // The long prompt is read between tokens of the others.
  expect(order.slice(0, first(1)).length).toBeGreaterThan(0);
});

test('a prompt without room and one that is canceled leave the others as they are', async () => {
  const expected = await idsOf(alone.answer(ask(prompts[0] ?? [])));
  let tokens = 0;
  const tooLong = Array.from({ length: TOKENS + 1 }, () => 5);
  const [whole, canceled, ...refused] = await Promise.allSettled([
    together.answer(ask(prompts[0] ?? [])),
    together.answer(ask(prompts[1] ?? [], { onToken: () => void tokens++, isCanceled: () => tokens >= 3 })),
    together.answer(ask(tooLong)),
    together.answer(ask([])),
  ]);
  expect(whole).toMatchObject({ value: { ids: expected } });
  expect(canceled).toMatchObject({ value: { finishReason: 'stopped', ids: { length: 3 } } });
  expect(refused).toMatchObject([
    { reason: { message: expect.stringContaining('room for 192 tokens') } },
    { reason: { message: expect.stringContaining('no tokens') } },
  ]);
  await together.idle();
});

test('a reader that fails ends its own answer', async () => {
  const failing = together.answer(
    ask(prompts[0] ?? [], {
      onText: () => {
        throw new Error('gone');
      },
    }),
  );
  const other = idsOf(together.answer(ask(prompts[1] ?? [])));
  await expect(failing).rejects.toThrow('gone');
  expect(await other).toEqual(await idsOf(alone.answer(ask(prompts[1] ?? []))));
});
