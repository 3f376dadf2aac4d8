/** Compares ids and logits of SmolLM2 with llama.cpp on the same file. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sequenceLogits } from '../../trainer/artifact/smoke-test.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { openLlamaCpp } from '../../trainer/llama-cpp/llama-cpp.ts';
import { INSTALL_LLAMA_CPP, hasLlamaCpp } from '../../trainer/llama-cpp/llama-cpp-packages.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { required } from '../../trainer/narrow.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeWith } from '../support/describe-with.ts';
import { openFast } from '../support/engines.ts';

const dir = join(cacheDir, 'models', 'smollm2');
const missing = existsSync(dir) ? `run ${INSTALL_LLAMA_CPP}` : `no ${dir}`;
const engineHere = existsSync(dir) && hasLlamaCpp(cacheDir) ? await openFast() : undefined;

/**
 * Tolerance of logits: llama.cpp rounds activations to eight bits before multiplying with quantized weights. Measured 0.5 of logits up to
 * 24.
 */
const TOLERANCE = 1;

describeWith('SmolLM2 in llama.cpp', engineHere, missing, engine => {
  test('the same ids, and logits within what eight-bit activations explain', async () => {
    const modelPath = join(dir, required(readdirSync(dir).find(name => name.endsWith('.gguf')), 'a GGUF file'));
    const llama = await openLlamaCpp({ cacheDir, modelPath, tokens: 64, threads: 2 });
    const folder = await openModel(modelPath);
    try {
      const tokenizer = await folder.loadTokenizer();
      for (const text of ['The river, in 1927 — naïve café 😀', "  two  spaces\n\n\ttab 7's", '<|im_start|>user\nland<|im_end|>\n'])
        expect(llama.tokenize(text), text).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
      const ids = tokenizer.encode('Name three rivers, and say in one sentence where each of them begins.', { addSpecialTokens: false });
      const model = causalModel(folder.config);
      const ours = await sequenceLogits(engine, { model, weights: folder.weights }, Int32Array.from(ids));
      const theirs = await llama.topLogits(ids, 16);
      let [compared, largest] = [0, 0];
      theirs.forEach((top, i) => {
        for (const [id, logit] of top) {
          largest = Math.max(largest, Math.abs(logit - (ours[i * model.vocabularySize + id] as number)));
          compared++;
        }
      });
      expect(compared).toBe(16 * ids.length);
      expect(largest).toBeLessThan(TOLERANCE);
      expect(largest).toBeGreaterThan(0);
    } finally {
      await llama.close();
      await folder.weights.close();
    }
  });

  test('a file that it cannot load is named, in its own words', async () => {
    const modelPath = join(import.meta.dirname, 'gguf', 'tiny-spm.gguf');
    await expect(openLlamaCpp({ cacheDir, modelPath, tokens: 8, threads: 1 })).rejects.toThrow(/llama\.cpp cannot load .*tiny-spm\.gguf[\s\S]+\n/);
  });
});
