/**
 * Compares SmolLM2-135M on the portable engine and on TensorFlow with float64: logits of all positions of a paragraph within 1e-4, and the
 * mean NLL within 2e-6. Measured over all 3.3 million logits, up to 36.6 in size: portable 9.5e-5, TensorFlow 6.7e-5, PyTorch in float32
 * 6.6e-5.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { LOGITS, logitsProgram } from '../../trainer/generate/decode-program.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const exact = readGoldenJson('smollm2_exact_logits.json', z.object({ every: z.number(), nll: z.number(), logits: z.array(z.number()) }));
const caseForm = z.object({ input_ids: z.array(z.number()) });
const [{ input_ids: ids }] = readGoldenJson('smollm2_logits.json', z.object({ cases: z.tuple([caseForm], caseForm) })).cases;

const file = join(cacheDir, 'models', 'smollm2');
const isPresent = existsSync(file) && readdirSync(file).some(name => name.endsWith('.gguf'));

const others = await openOthers();
const missing = `no GGUF file in ${file}; npm run demo fetches it`;

describeOn(isPresent ? others : others.map(({ name }) => ({ name, missing })), engine => {
  test('logits at every position equal the reference', async () => {
    const folder = await openModel(file);
    const model = causalModel(folder.config);
    const session = await engine.compile(logitsProgram({ model, tokens: ids.length }));
    await session.load(weightStream(model, folder.weights));
    const logits = floatsOf(await session.run(LOGITS, { ids: Int32Array.from(ids) }), 'logits');
    await session.dispose();
    await folder.weights.close();
    expect(
      largestDifference(
        logits.filter((_, i) => i % exact.every === 0),
        exact.logits,
      ),
    ).toBeLessThan(1e-4);
    const rowOf = (token: number) => logits.subarray(token * model.vocabularySize, (token + 1) * model.vocabularySize);
    const nll = ids.slice(1).reduce((sum, id, i) => sum + negativeLogLikelihood(rowOf(i), id), 0) / (ids.length - 1);
    expect(Math.abs(nll - exact.nll)).toBeLessThan(2e-6);
  }, 600_000);
});

function negativeLogLikelihood(row: Float32Array, id: number): number {
  const largest = row.reduce((a, b) => Math.max(a, b));
  return largest + Math.log(row.reduce((sum, x) => sum + Math.exp(x - largest), 0)) - (row[id] as number);
}
