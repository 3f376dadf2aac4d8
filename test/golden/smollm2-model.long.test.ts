/**
 * Compares SmolLM2-135M-Instruct from its GGUF file with PyTorch and Transformers: next tokens, NLL, greedy text, gradients and chosen
 * rows. The file is expected in the cache folder, where `npm run demo` puts it.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Session } from '../../trainer/engine/engine.ts';
import { BatchedAnswers } from '../../trainer/generate/batched-answers.ts';
import { LOGITS, logitsProgram } from '../../trainer/generate/decode-program.ts';
import { openDecoder } from '../../trainer/generate/decoder.ts';
import { type ModelFolder, openModel } from '../../trainer/hub/open-model.ts';
import { magnitude } from '../../trainer/importance/row-scores.ts';
import { scoreModel } from '../../trainer/importance/score-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { CausalModel } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { topRows } from '../../trainer/selection.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { createBatchPlan } from '../../trainer/data/batch/batch-plan.ts';
import { tokenSource } from '../../trainer/data/batch/batches.ts';
import { valueFor } from '../../trainer/narrow.ts';
import { largestDifference, verifyProgram } from '../../trainer/verify/verify-model.ts';
import { describeOn, engineNamed, openOthers } from '../support/engines.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const numbersForm = z.array(z.number());
const caseForm = z.object({
  name: z.string(),
  input_ids: numbersForm,
  mean_nll: z.number(),
  per_token_nll: numbersForm,
  next_top10: z.array(z.object({ id: z.number(), logit: z.number() })),
  last_logits_first8: numbersForm,
  greedy_ids: numbersForm,
  greedy_text: z.string(),
});
const rowsForm = z.object({
  magnitude_top16: numbersForm,
  magnitude_top16_val: numbersForm,
  taylor_top16: numbersForm,
  taylor_top16_val: numbersForm,
});

const golden = readGoldenJson(
  'smollm2_logits.json',
  z.object({
    cases: z.tuple([caseForm], caseForm),
    paragraph_loss: z.number(),
    paragraph_grad_l2: z.record(z.string(), z.number()),
    row_importance: z.record(z.string(), rowsForm),
  }),
);
const [paragraph] = golden.cases;
const tokens = paragraph.input_ids.length;

const file = join(cacheDir, 'models', 'smollm2');
const present = existsSync(file) && readdirSync(file).some(name => name.endsWith('.gguf'));
const absent = { name: 'tensorflow', missing: `no GGUF file in ${file}; npm run demo fetches it` };
const tensorflow = present ? engineNamed(await openOthers(), 'tensorflow') : absent;

describeOn([tensorflow], engine => {
  let folder: ModelFolder;
  let model: CausalModel;
  beforeAll(async () => {
    folder = await openModel(file);
    model = causalModel(folder.config);
  });
  afterAll(() => folder.weights.close());

  describe('logits', () => {
    let session: Session;
    beforeAll(async () => {
      session = await engine.compile(logitsProgram({ model, tokens }));
      await session.load(weightStream(model, folder.weights));
    });
    afterAll(() => session.dispose());

    test.each(golden.cases)('next tokens and NLL of $name', async example => {
      const ids = Int32Array.from({ length: tokens }, (_, i) => example.input_ids[i] ?? 0); // later tokens are not attended to
      const logits = floatsOf(await session.run(LOGITS, { ids }), 'logits');
      const rowOf = (token: number) => logits.subarray(token * model.vocabularySize, (token + 1) * model.vocabularySize);
      const nll = example.input_ids.slice(1).map((id, i) => negativeLogLikelihood(rowOf(i), id));
      expect(largestDifference(nll, example.per_token_nll)).toBeLessThan(1e-3);
      expect(Math.abs(nll.reduce((sum, x) => sum + x, 0) / nll.length - example.mean_nll)).toBeLessThan(1e-3);
      const last = rowOf(example.input_ids.length - 1);
      expect([...topRows(last, 10)].sort((a, b) => (last[b] as number) - (last[a] as number))).toEqual(example.next_top10.map(({ id }) => id));
      expect(largestDifference(example.next_top10.map(({ id }) => last[id] as number), example.next_top10.map(({ logit }) => logit))).toBeLessThan(1e-3);
      expect(largestDifference(last.subarray(0, 8), example.last_logits_first8)).toBeLessThan(1e-3);
    });
  });

  test('greedy continuation, with the cache', async () => {
    const tokenizer = await folder.loadTokenizer();
    const decoder = await openDecoder({ engine, model, weights: folder.weights, tokens: tokens + 24 });
    const answers = new BatchedAnswers(decoder, { eosIds: [], decodeStream: options => tokenizer.decodeStream(options) });
    for (const { name, input_ids, greedy_ids, greedy_text } of golden.cases) {
      const options = { maxNewTokens: greedy_ids.length, temperature: 0, topK: 0, topP: 1, seed: 0 };
      let streamed = '';
      const found = await answers.answer({
        ids: input_ids,
        maxTokens: model.maxPositions,
        options,
        onText: chunk => {
          streamed += chunk;
        },
      });
      expect(found.ids, name).toEqual(greedy_ids);
      expect(streamed, name).toBe(tokenizer.decode(greedy_ids, { skipSpecialTokens: true }));
      expect(greedy_text.startsWith(streamed), name).toBe(true);
    }
    await decoder.dispose();
  });

  test('gradients', async () => {
    const shape = [1, tokens];
    const labels = { shape, data: paragraph.input_ids };
    const session = await engine.compile(
      verifyProgram(model, { model: '', inputs: { input_ids: labels }, labels, loss: 0, logits: { shape: [], data: [] }, grads: {} }),
    );
    await session.load(weightStream(model, folder.weights));
    const outputs = await session.run('verify', {
      ids: Int32Array.from(paragraph.input_ids),
      seen: new Float32Array(tokens).fill(1),
      targetPositions: Int32Array.from({ length: tokens - 1 }, (_, i) => i),
      targetIds: Int32Array.from(paragraph.input_ids.slice(1)),
      targetWeights: new Float32Array(tokens - 1).fill(1 / (tokens - 1)),
    });
    await session.dispose();
    expect(outputs.loss?.[0]).toBeCloseTo(golden.paragraph_loss, 3);
    for (const [name, norm] of Object.entries(golden.paragraph_grad_l2))
      expect(Math.abs((outputs[`norm ${name}`]?.[0] as number) / norm - 1), name).toBeLessThan(1e-3);
  });

  test('rows by magnitude and by Taylor', async () => {
    const modules = model.modules.filter(({ name }) => name in golden.row_importance);
    const sequences = [{ ids: Int32Array.from(paragraph.input_ids), train: Uint8Array.from(paragraph.input_ids, (_, i) => Math.min(i, 1)) }];
    const plan = createBatchPlan(sequences, {
      batchSize: 1,
      maxLength: tokens,
      packing: false,
      shuffle: false,
    grouped: true,
      seed: 0,
      maxBuckets: 1,
      multipleOf: 2,
      targetMultiple: 1,
      maxTargetSizes: 1,
    });
    const source = tokenSource({ plan, sequences, padId: 0, packed: false });
    const data = { engine, task: causalTask(model), source, recompute: 'cheap' as const, exact: false, sweepBytes: 0 };
    const { scores: taylor } = await scoreModel({ measure: 'taylor', model, modules, weights: folder.weights, seed: 0, data });
    for (const module of modules) {
      const expected = golden.row_importance[module.name];
      const byMagnitude = magnitude(await folder.weights.readFloat32(module.weight.name), module.weight.shape[0] as number);
      const byTaylor = valueFor(taylor, module.name);
      for (const [scores, rows, values] of [
        [byMagnitude, expected?.magnitude_top16, expected?.magnitude_top16_val],
        [byTaylor, expected?.taylor_top16, expected?.taylor_top16_val],
      ] as const) {
        expect(topRows(scores, 16), module.name).toEqual(Int32Array.from(rows ?? []).sort());
        rows?.forEach((row, i) => expect(Math.abs((scores[row] as number) / (values?.[i] as number) - 1)).toBeLessThan(1e-3));
      }
    }
  });
});

/** Returns log Σ exp z − z[id], in nats. */
function negativeLogLikelihood(logits: Float32Array, id: number): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  return largest + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - largest), 0)) - (logits[id] as number);
}
