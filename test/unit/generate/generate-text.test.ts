/**
 * Tests generated text: greedy equals the naive loop, seeds repeat, it ends where it must and streams what it returns, with base, adapter
 * and merged folder.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { untouched } from '../../../trainer/adapter/apply-adapter.ts';
import { exportModel } from '../../../trainer/artifact/export-model.ts';
import { sequenceLogits } from '../../../trainer/artifact/smoke-test.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { BatchedAnswers } from '../../../trainer/generate/batched-answers.ts';
import { openDecoder } from '../../../trainer/generate/decoder.ts';
import { generateText } from '../../../trainer/generate/generate-text.ts';
import { encodePrompt } from '../../../trainer/generate/prompt.ts';
import { likeliest } from '../../../trainer/generate/sample.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { TINY_LLAMA, tinyAdapter, tinyWithTokenizer } from '../../support/models/tiny-adapter.ts';

let engine: Engine;
let base: string;
beforeAll(async () => {
  engine = await openFast();
  base = await tinyWithTokenizer();
});

const greedy = { chat: false, maxNewTokens: 12, temperature: 0, topK: 0, topP: 1, seed: 1 };

async function generate(
  source: string,
  change: Partial<Omit<Parameters<typeof generateText>[0], 'options'>> & { options?: Partial<typeof greedy> } = {},
) {
  const folder = await openModel(source);
  let streamed = '';
  try {
    const found = await generateText({
      engine,
      folder,
      prompt: 'lunch at 7:',
      onText: chunk => {
        streamed += chunk;
      },
      ...change,
      options: { ...greedy, ...change.options },
    });
    expect(streamed).toBe(found.text);
    return found;
  } finally {
    await folder.weights.close();
  }
}

/** Passes the whole sequence through the model again for every token. */
async function naiveGreedy(count: number): Promise<number[]> {
  const folder = await openModel(base);
  const model = causalModel(folder.config);
  const ids = [...encodePrompt(await folder.loadTokenizer(), 'lunch at 7:', false).ids];
  const prompt = ids.length;
  for (let i = 0; i < count; i++) {
    const logits = await sequenceLogits(engine, { model, weights: folder.weights, attachment: untouched }, Int32Array.from(ids));
    ids.push(likeliest(logits.subarray(-model.vocabularySize)));
  }
  await folder.weights.close();
  return ids.slice(prompt);
}

test('greedy text is that of the naive loop', async () => {
  const found = await generate(base);
  const expected = await naiveGreedy(found.ids.length);
  expect(found.ids).toEqual(expected);
  expect(found.promptTokens).toBeGreaterThan(5);
  expect(found.tokensPerSecond).toBeGreaterThan(0);
});

test('the same seed gives the same text, another seed another', async () => {
  const draw = async (seed: number) => (await generate(base, { options: { temperature: 2, topK: 40, topP: 0.95, seed } })).ids;
  expect(await draw(5)).toEqual(await draw(5));
  expect(await draw(5)).not.toEqual(await draw(6));
});

describe('the end', () => {
  test('by max_new_tokens', async () => {
    const { ids, finishReason } = await generate(base, { options: { maxNewTokens: 3 } });
    expect([ids.length, finishReason]).toEqual([3, 'max_new_tokens']);
  });

  test('by an end token of generation_config.json, which is not part of the text', async () => {
    const { ids } = await generate(base);
    const end = ids[4] as number;
    const other = await tinyWithTokenizer();
    const path = join(other, 'generation_config.json');
    await writeFile(path, JSON.stringify({ ...readRecord(path), eos_token_id: [end] }));
    const found = await generate(other);
    expect(found.finishReason).toBe('end');
    expect(found.ids).toEqual(ids.slice(0, ids.indexOf(end)));
  });

  test("by the model's positions", async () => {
    const { ids, promptTokens, finishReason } = await generate(base, { options: { maxNewTokens: 500, temperature: 3 } });
    expect(finishReason).toMatch(/^(max_positions|end)$/);
    expect(ids.length + promptTokens).toBeLessThanOrEqual(64);
  });

  test('by a request to stop', async () => {
    let asked = 0;
    const { ids, finishReason } = await generate(base, { isCanceled: () => ++asked > 4 });
    expect(finishReason).toBe('stopped');
    expect(ids.length).toBeLessThan(5);
  });

  test('a prompt without room is refused before anything is loaded', async () => {
    await expect(generate(base, { prompt: 'x'.repeat(64) })).rejects.toThrow(/64 positions: shorten the prompt/);
  });
});

test('a tokenizer of another model is refused', async () => {
  await expect(generate(join(TINY_LLAMA, '..', 'gguf', 'tiny-llama.gguf'))).rejects.toThrow(/belongs to another model/);
});

test('an adapter on its base and its merged export say the same, the base something else', async () => {
  const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 4 }, base });
  const outputDir = join(await tinyWithTokenizer(), 'merged');
  await exportModel({ adapterPath, format: 'merged', outputDir, overwrite: false, engine, openBase: () => openModel(base) });
  const tuned = await generate(base, { adapterPath });
  expect(tuned.ids).toEqual((await generate(outputDir)).ids);
  expect(tuned.ids).not.toEqual((await generate(base)).ids);
});

test('an open decoder answers again and again', async () => {
  const folder = await openModel(base);
  const tokenizer = await folder.loadTokenizer();
  const model = causalModel(folder.config);
  const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens: 40 });
  const answers = new BatchedAnswers(decoder, tokenizer);
  const answer = async (prompt: string) =>
    (await answers.answer({ ids: encodePrompt(tokenizer, prompt, false).ids, maxTokens: 40, options: greedy })).text;
  const first = await answer('one');
  await answer('quite another');
  expect(await answer('one')).toBe(first);
  await decoder.dispose();
  await folder.weights.close();
});

test('numbers that are not finite are an error', async () => {
  const folder = await openModel(base);
  const model = causalModel(folder.config);
  const tokenizer = await folder.loadTokenizer();
  const weights = {
    tensors: folder.weights.tensors,
    readFloat32: async (name: string) => (await folder.weights.readFloat32(name)).fill(Number.NaN),
  };
  const decoder = await openDecoder({ engine, model, weights, tokens: 20 });
  await expect(new BatchedAnswers(decoder, tokenizer).answer({ ids: [1, 5], maxTokens: 20, options: greedy })).rejects.toThrow(
    /gives NaN for token 0/,
  );
  await decoder.dispose();
  await folder.weights.close();
});

test('a model that classifies is refused with the commands that use it', async () => {
  await expect(generate(join(TINY_LLAMA, '..', 'vit'))).rejects.toThrow(
    'a vit with a head for labels or scores writes no text: rowtune evaluate measures it, and rowtune export takes it to other programs',
  );
});
