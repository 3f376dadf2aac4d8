/** Decoding with a cache gives at every step the logits of the whole sequence read at once (1e-4), for every member of the Llama family here. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../trainer/engine/engine.ts';
import { LOGITS, logitsProgram, PREFILL_TOKENS } from '../../trainer/generate/decode-program.ts';
import { contextBucket, openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { openOthers, openReference } from '../support/engines.ts';

const isModel = (name: string): boolean => existsSync(join(import.meta.dirname, name, 'config.json'));
const families = readdirSync(import.meta.dirname).filter(name => /^(llama|mistral|qwen2)[a-z0-9_]*$/.test(name) && isModel(name));
/** More than one stretch of the prompt where the model has the positions, and a last stretch that is not full. */
const PROMPT = PREFILL_TOKENS + 7;
const STEPS = 9;

async function errors(engine: Engine, name: string): Promise<number[]> {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const tokens = Math.min(PROMPT + STEPS, model.maxPositions);
  const ids = Array.from({ length: tokens }, (_, i) => (i * 37 + 11) % model.vocabularySize);
  const whole = await engine.compile(logitsProgram({ model, tokens }));
  await whole.load(weightStream(model, folder.weights));
  const { logits } = await whole.run(LOGITS, { ids: Int32Array.from(ids) });
  await whole.dispose();
  const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens });
  await folder.weights.close();
  const rowOf = (token: number) => [...(logits as Float32Array).subarray(token * model.vocabularySize, (token + 1) * model.vocabularySize)];
  const found: number[] = [];
  // Another prompt before it must leave nothing behind.
  await decoder.read(ids.slice(0, 5).reverse());
  const prompt = tokens - STEPS;
  found.push(largestDifference(await decoder.read(ids.slice(0, prompt)), rowOf(prompt - 1)));
  for (let token = prompt; token < tokens; token++) found.push(largestDifference(await decoder.next(ids[token] as number), rowOf(token)));
  expect(decoder.position).toBe(tokens);
  await decoder.dispose();
  return found;
}

for (const { name: engineName, engine, missing } of [
  { name: 'portable, cpu', engine: await openReference(), missing: '' },
  ...(await openOthers()),
])
  describe(engineName, () => {
    if (!engine) return test.skip(`not here: ${missing}`);
    test.each(families)('%s', async name => {
      const found = await errors(engine, name);
      expect(found).toHaveLength(STEPS + 1);
      expect(Math.max(...found)).toBeLessThan(1e-4);
    });
  });

test('room for a context', () => {
  expect(contextBucket(1, 8192)).toBe(256);
  expect(contextBucket(257, 8192)).toBe(512);
  expect(contextBucket(5000, 8192)).toBe(8192);
  expect(contextBucket(8000, 6000)).toBe(8000);
  expect(contextBucket(10, 64)).toBe(64);
  expect(contextBucket(10, 100)).toBe(128);
});
