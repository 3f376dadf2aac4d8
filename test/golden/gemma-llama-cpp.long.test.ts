/**
 * Compares Gemma 3 270M as a GGUF file with llama.cpp: token ids and greedy tokens. llama.cpp computed in float32 with the values that the
 * four-bit blocks represent. Measured over 16 prompts of 24 tokens: all 384 tokens are equal, and logits differ by at most 0.013. On the
 * blocks themselves, where llama.cpp rounds activations to 8 bits, 373 of 384 tokens are equal after equal texts, and logits differ by at
 * most 1.3.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { LOGITS, logitsProgram } from '../../trainer/generate/decode-program.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeOn, engineNamed, openOthers } from '../support/engines.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const caseForm = z.object({
  prompt: z.string(),
  ids: z.array(z.number()),
  tokens: z.array(z.number()),
  /** The two largest logits of each step. */
  largest: z.array(z.tuple([z.number(), z.number()])),
});
const { cases } = readGoldenJson('gemma_llama_cpp.json', z.object({ cases: z.array(caseForm) }));

/** Tolerance of logits of up to 30 in size; llama.cpp sums in a different order. */
const TOLERANCE = 0.03;

const file = join(cacheDir, 'models', 'gemma3', 'gemma-3-270m-q4_k_m.gguf');
const absent = { name: 'tensorflow', missing: `no ${file}; npm run demo -- gemma fetches it` };
const tensorflow = existsSync(file) ? engineNamed(await openOthers(), 'tensorflow') : absent;

describeOn([tensorflow], engine => {
  test('token ids and greedy tokens of each prompt equal those of llama.cpp', async () => {
    const folder = await openModel(file);
    const model = causalModel(folder.config);
    const tokenizer = await folder.loadTokenizer();
    const length = Math.max(...cases.map(({ ids, tokens }) => ids.length + tokens.length));
    const session = await engine.compile(logitsProgram({ model, tokens: length }));
    await session.load(weightStream(model, folder.weights));
    for (const { prompt, ids, tokens, largest } of cases) {
      expect(tokenizer.encode(prompt, { addSpecialTokens: true })).toEqual(ids);
      // One pass over everything, because the prediction of a token does not depend on later ones.
      const all = [...ids, ...tokens];
      const logits = floatsOf(await session.run(LOGITS, { ids: Int32Array.from({ length }, (_, i) => all[i] ?? 0) }), 'logits');
      const rowOf = (step: number) => logits.subarray((ids.length + step - 1) * model.vocabularySize).subarray(0, model.vocabularySize);
      const best = tokens.map((_, step) => rowOf(step).reduce((at, value, id, row) => (value > (row[at] as number) ? id : at), 0));
      expect(best, prompt).toEqual(tokens);
      const off = tokens.map((token, step) => Math.abs((rowOf(step)[token] as number) - (largest[step]?.[0] as number)));
      expect(Math.max(...off), prompt).toBeLessThan(TOLERANCE);
    }
    await session.dispose();
    await folder.weights.close();
  }, 600_000);
});
