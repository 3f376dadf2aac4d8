/** The most probable tokens that decoders write, with the cache, against Transformers' generate. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { openOthers } from '../support/engines.ts';

const golden: { readonly folders: Readonly<Record<string, { readonly prompt: number; readonly tokens: readonly number[] }>> } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'greedy_tokens.json'), 'utf8'),
);

async function greedy(engine: Engine, name: string, length: number, steps: number): Promise<number[]> {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens: length + steps });
  await folder.weights.close();
  const prompt = Array.from({ length }, (_, i) => (i * 37 + 11) % model.vocabularySize);
  const best = (logits: Float32Array): number => logits.reduce((at, value, id) => (value > (logits[at] as number) ? id : at), 0);
  const found = [best(await decoder.read(prompt))];
  while (found.length < steps) found.push(best(await decoder.next(found.at(-1) as number)));
  await decoder.dispose();
  return found;
}

for (const { name, engine, missing } of await openOthers())
  describe.skipIf(!engine)(`${name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    test.each(Object.entries(golden.folders))('%s', async (folder, { prompt, tokens }) => {
      expect(await greedy(engine as Engine, folder, prompt, tokens.length)).toEqual(tokens);
    });
  });
