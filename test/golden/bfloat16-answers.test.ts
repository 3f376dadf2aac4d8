/**
 * Tests that decoders in bfloat16 keep their cache as Transformers does, and that their logits with this cache are those of reading the
 * whole text at once in bfloat16, and near those of Transformers in bfloat16.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { adaptedModel } from '../../trainer/adapter/apply-adapter.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { cacheVariables, LOGITS, logitsProgram } from '../../trainer/generate/decode-program.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { loadVariables, storedWeights } from '../../trainer/train/variables.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { floatsOf } from '../support/numbers/outputs.ts';

const folderForm = z.object({
  types: z.record(z.string(), z.string()),
  /** The largest distance of Transformers' logits in bfloat16 from those in float32. */
  fromFloat32: z.number(),
  /** After the prompt, and after each further token. */
  logits: z.array(z.array(z.number())),
});
const { prompt, folders } = readGoldenJson(
  'bfloat16_answers.json',
  z.object({ prompt: z.number(), folders: z.record(z.string(), folderForm) }),
);

/** Transformers' names of the parts of a cache. */
const PARTS: Readonly<Record<string, string>> = { k: 'keys', v: 'values', recent: 'conv_states', memory: 'recurrent_states' };

async function logitsOf(engine: Engine, name: string, steps: number) {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const precision = { dtype: 'bfloat16', quantize: 'none' } as const;
  const adapted = await adaptedModel({ model, weights: folder.weights, adapter: undefined, hostFrom: undefined, precision });
  const { attachment, weights } = adapted;
  const tokens = prompt + steps;
  const ids = Array.from({ length: tokens }, (_, i) => (i * 37 + 11) % model.vocabularySize);
  const session = await engine.compile(logitsProgram({ model, storage: attachment.storage, tokens }));
  await loadVariables(session, { model: storedWeights(model, weights, attachment), attachment });
  const whole = floatsOf(await session.run(LOGITS, { ids: Int32Array.from(ids) }), 'logits').slice((prompt - 1) * model.vocabularySize);
  await session.dispose();
  const decoder = await openDecoder({ engine, model, ...adapted, tokens });
  await folder.weights.close();
  const cached = [...(await decoder.read(ids.slice(0, prompt)))];
  for (const id of ids.slice(prompt)) cached.push(...(await decoder.next(id)));
  await decoder.dispose();
  const kept = cacheVariables(model, { tokens, storage: attachment.storage });
  const types = Object.fromEntries(kept.map(({ name, dtype }) => [PARTS[name.split('/').at(-1) ?? ''], dtype]));
  return { whole: [...whole], cached, types };
}

describeOn(await openOthers(), engine => {
  test.each(Object.entries(folders))('%s', async (name, { types, fromFloat32, logits }) => {
    const found = await logitsOf(engine, name, logits.length - 1);
    expect(found.types).toEqual(types);
    // One step of the largest logits, to which both round.
    const step = 2 ** (Math.floor(Math.log2(Math.max(...logits.flat().map(Math.abs)))) - 7);
    expect(largestDifference(found.cached, found.whole)).toBeLessThanOrEqual(step);
    // Measured: up to 1.3 times the error of bfloat16 itself, which Transformers also rounds sums over blocks to.
    expect(largestDifference(found.cached, logits.flat())).toBeLessThan(2 * fromFloat32);
  });
});
