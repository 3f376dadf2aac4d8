/**
 * Tests two updates of a model with matrices as wide as real ones, which kernels cut into parts and distribute to threads; the tiny models
 * of other tests are too small for that. The portable engine, which runs every operation separately, is the reference.
 */
import { expect, test } from 'vitest';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import type { OptimizerSettings } from '../../../trainer/train/optimizer-settings.ts';
import { describeOn, engineNamed, openFast, openOthers } from '../../support/engines.ts';
import { scattered, settingsOf } from '../../support/models/method-settings.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { adamw, type TinyModel, type TinyRunParams, withTinyRun } from '../../support/runs/tiny-training.ts';

// Number of threads that share a step; the kernels read it once, before their first step.
process.env.TF_NUM_INTRAOP_THREADS = '3';
const tensorflow = engineNamed(await openOthers(), 'tensorflow');

const model = causalModel({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 600,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  max_position_embeddings: 64,
});
const tensors = new Map(model.parameters.map(parameter => [parameter.name, parameter]));
const values = new Map<string, Float32Array>();
for (const { name, shape } of model.parameters) {
  const count = shape.reduce((product, size) => product * size, 1);
  const drawn = () => Float32Array.from(randomNumbers(count, -0.08, 0.08, count + name.length));
  values.set(name, shape.length === 1 ? new Float32Array(count).fill(1) : drawn());
}
const wide: TinyModel = { model, weights: { tensors, readFloat32: async name => valueFor(values, name).slice() } };

const eightBit: OptimizerSettings = { ...adamw, eightBitFrom: 4096 };
interface Case {
  readonly method: MethodName;
  readonly optimizer?: OptimizerSettings;
  readonly changes?: Partial<TinyRunParams>;
  readonly dtype?: 'bfloat16';
}

const cases: readonly Case[] = [
  ...(['spsft', 'lora', 'dora', 'rosa', 'shira', 'vera', 'spsft+lora', 'head', 'full'] as const).flatMap(method => [
    { method },
    { method, changes: { maxGradNorm: 0.5 } },
    { method, changes: { maxGradNorm: 0.5, accumulationSteps: 2 } },
  ]),
  ...(['spsft', 'lora', 'full'] as const).map(method => ({ method, optimizer: eightBit, changes: { maxGradNorm: 0.5 } })),
  ...(['spsft', 'lora', 'rosa', 'full'] as const).map(method => ({ method, dtype: 'bfloat16', changes: { maxGradNorm: 0.5 } }) as const),
];
const nameOf = ({ method, optimizer, dtype, changes: { maxGradNorm, accumulationSteps } = {} }: Case): string =>
  [method, maxGradNorm ? 'clipped' : '', accumulationSteps ? 'two batches an update' : '', optimizer ? '8 bits' : '', dtype ?? '']
    .filter(Boolean)
    .join(', ');

/** Returns the norm of the gradient before each update, and the loss after both. */
async function traceOn(engine: TinyRunParams['engine'], { method, optimizer, dtype, changes }: Case): Promise<number[]> {
  const settings = settingsOf({ budget: { r: 32 }, rank: 16, loraAlpha: 16 });
  const attached = methods[method].attach(model, settings, scattered(model, method, settings));
  const attachment = placeTrained(attached, model, { dtype: dtype ?? 'float32', quantize: 'none' });
  return withTinyRun({ engine, tiny: wide, attachment, optimizer, learningRate: 1e-3, ...changes }, async run => {
    const step = () => (changes?.accumulationSteps ? run.accumulatedStep() : run.step());
    return [(await step()).gradNorm, (await step()).gradNorm, await run.evaluate()];
  });
}

describeOn([tensorflow], engine => {
  const portable = openFast();
  test.each(cases.map(each => [nameOf(each), each] as const))('%s', async (_, each) => {
    const [ours, theirs] = [await traceOn(engine, each), await traceOn(await portable, each)];
    // Sums in a different order occasionally round to another bfloat16.
    const tolerance = each.dtype ? 1e-2 : 1e-4;
    for (const [i, value] of theirs.entries())
      expect(Math.abs((ours[i] as number) / value - 1), `${ours}, not ${theirs}`).toBeLessThan(tolerance);
  });
});
