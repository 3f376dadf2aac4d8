/** Compares the most probable tokens that decoders write, with the cache, with Transformers' generate. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { lastOf } from '../../trainer/narrow.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const folderForm = z.object({ prompt: z.number(), tokens: z.array(z.number()) });
const golden = readGoldenJson('greedy_tokens.json', z.object({ folders: z.record(z.string(), folderForm) }));

async function greedy(engine: Engine, name: string, length: number, steps: number): Promise<number[]> {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens: length + steps });
  await folder.weights.close();
  const prompt = Array.from({ length }, (_, i) => (i * 37 + 11) % model.vocabularySize);
  const best = (logits: Float32Array): number => logits.reduce((at, value, id) => (value > (logits[at] as number) ? id : at), 0);
  const found = [best(await decoder.read(prompt))];
  while (found.length < steps) found.push(best(await decoder.next(lastOf(found))));
  await decoder.dispose();
  return found;
}

describeOn(await openOthers(), engine => {
  test.each(Object.entries(golden.folders))('%s', async (folder, { prompt, tokens }) => {
    expect(await greedy(engine, folder, prompt, tokens.length)).toEqual(tokens);
  });
});
