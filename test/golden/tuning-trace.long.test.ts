/**
 * Compares four AdamW steps on the tiny Llama for each method with PyTorch and PEFT: losses within 1e-4, row scores within 1e-4 relative.
 */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Engine } from '../../trainer/engine/engine.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../../trainer/graph/recompute.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { openSafetensors } from '../../trainer/format/safetensors/safetensors-source.ts';
import { magnitude } from '../../trainer/importance/row-scores.ts';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import type { Attachment } from '../../trainer/method/method.ts';
import { methods } from '../../trainer/method/methods.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { required } from '../../trainer/narrow.ts';
import type { Selection } from '../../trainer/selection.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { casesOn, describeOn, openAll } from '../support/engines.ts';
import { lossTrace, nextTokenFeeds } from '../support/golden/loss-trace.ts';
import { settingsOf } from '../support/models/method-settings.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const goldenFolder = import.meta.dirname;

const numbersForm = z.array(z.number());
const pairForm = z.tuple([z.number(), z.number()]);
const runForm = z.object({ losses: numbersForm, trainable: z.number() });

const trace = readGoldenJson(
  'llama_tuning_trace.json',
  z.object({
    input_ids: z.object({ shape: pairForm, data: numbersForm }),
    optimizer: z.object({ lr: z.number(), betas: pairForm, eps: z.number() }),
    row_importance: z.record(z.string(), z.record(z.string(), numbersForm)),
    full: runForm,
    spsft_magnitude_r4: runForm,
    spsft_taylor_r4: runForm,
    lora_r4_alpha16: runForm,
    dora_r4_alpha16: runForm,
  }),
);
const folder = await openModel(join(goldenFolder, 'llama'));
afterAll(() => folder.weights.close());
const model = causalModel(folder.config);
const { lr, betas, eps } = trace.optimizer;
const optimizer = { name: 'adamw', weightDecay: 0, beta1: betas[0], beta2: betas[1], epsilon: eps, momentum: 0 } as const;

function losses(engine: Engine, attachment: Attachment, recompute: RecomputePolicy, start: ReadonlyMap<string, HostArray>) {
  const [batch, tokens] = trace.input_ids.shape;
  return lossTrace(engine, {
    ...{ task: causalTask(model), attachment, recompute, model: weightStream(model, folder.weights), start, optimizer, rate: lr },
    shape: { batch, tokens, targets: batch * (tokens - 1) },
    feeds: nextTokenFeeds(Int32Array.from(trace.input_ids.data), tokens),
  });
}

function attach(method: MethodName, selection: Selection = new Map()): Attachment {
  return methods[method].attach(
    model,
    settingsOf({ loraAlpha: 16, seed: 0 }),
    selection,
  );
}

const chosen = (measure: string): Selection =>
  new Map(Object.entries(trace.row_importance).map(([name, scores]) => [name, Int32Array.from(required(scores[measure], measure))]));

async function startOf(adapter: string): Promise<ReadonlyMap<string, Float32Array>> {
  const source = await openSafetensors(join(goldenFolder, adapter, 'adapter_model.safetensors'));
  const start = new Map<string, Float32Array>();
  for (const name of source.tensors.keys()) start.set(name.replace('base_model.model.', ''), await source.readFloat32(name));
  await source.close();
  return start;
}

const cases = [
  { name: 'full', expected: 'full', attachment: attach('full'), start: new Map() },
  { name: 'spsft by magnitude', expected: 'spsft_magnitude_r4', attachment: attach('spsft', chosen('top4_magnitude')), start: new Map() },
  { name: 'spsft by Taylor', expected: 'spsft_taylor_r4', attachment: attach('spsft', chosen('top4_taylor')), start: new Map() },
  { name: 'lora', expected: 'lora_r4_alpha16', attachment: attach('lora'), start: await startOf('llama_lora_adapter') },
  { name: 'dora', expected: 'dora_r4_alpha16', attachment: attach('dora'), start: await startOf('llama_dora_adapter') },
] as const;

describeOn(await openAll(), (engine, engineName) => {
  for (const { name, expected, attachment, start } of cases)
    for (const recompute of casesOn(engineName, RECOMPUTE_POLICIES, policy => policy === 'block' && name === 'spsft by Taylor'))
      test(`${name}, recompute ${recompute}`, async () => {
        const found = await losses(engine, attachment, recompute, start);
        const wanted = trace[expected];
        found.forEach((loss, i) => expect(loss).toBeCloseTo(wanted.losses[i] as number, 4));
      });
});

describe('row scores', () => {
  test('magnitude is the L2 norm of each row', async () => {
    for (const [name, scores] of Object.entries(trace.row_importance)) {
      const weight = await folder.weights.readFloat32(`${name}.weight`);
      const expected = required(scores.magnitude_l2, 'magnitude_l2');
      magnitude(weight, expected.length).forEach((score, i) => {
        expect(Math.abs(score / (expected[i] as number) - 1)).toBeLessThan(1e-4);
      });
    }
  });
});
