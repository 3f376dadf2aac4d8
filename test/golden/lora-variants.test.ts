/** Compares four AdamW steps with rsLoRA, LoRA+, PiSSA and SHiRA, requested in a recipe, with PEFT: losses within 1e-4. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { elementCount, type HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { elementBudget, elementCounts } from '../../trainer/method/elements.ts';
import type { Attachment } from '../../trainer/method/method.ts';
import { methods } from '../../trainer/method/methods.ts';
import { targetModules } from '../../trainer/method/targets.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { CausalModel } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { valueFor } from '../../trainer/narrow.ts';
import { methodSettings, optimizerSettings } from '../../trainer/train/recipe-settings.ts';
import { openFast } from '../support/engines.ts';
import { lossTrace, nextTokenFeeds } from '../support/golden/loss-trace.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const caseSchema = z.object({ use_rslora: z.boolean(), ratio: z.number(), decay: z.number(), losses: z.array(z.number()) });
const golden = readGoldenJson(
  'lora_variants.json',
  z.object({
    folder: z.string(),
    lr: z.number(),
    tokens: z.number(),
    rank: z.number(),
    alpha: z.number(),
    shira: z.array(z.number()),
    pissa: z.record(z.string(), z.array(z.number())),
    cases: z.record(z.string(), caseSchema),
  }),
);
const { folder, lr, tokens, rank, alpha } = golden;
const BATCH = 2;

function recipeFor(settings: Readonly<Record<string, string | number | boolean>>) {
  const all = { model: 'm', 'data.train': 't', r: rank, ...settings };
  return recipeOf(...Object.entries(all).map(([key, value]) => `${key}=${value}`));
}

/** Returns the losses of a recipe's attachment before each step and after the last one. */
async function tracedLosses(
  recipe: ReturnType<typeof recipeFor>,
  attach: (model: CausalModel) => { readonly attachment: Attachment; readonly start: ReadonlyMap<string, HostArray> },
): Promise<number[]> {
  const opened = await openModel(join(import.meta.dirname, folder));
  const model = causalModel(opened.config);
  // Ids are those of make_lora_variants.py.
  const ids = Int32Array.from(
    { length: BATCH * tokens },
    (_, at) => (((at % tokens) * 37 + Math.floor(at / tokens) * 11 + 5) % (model.vocabularySize - 3)) + 3,
  );
  const found = await lossTrace(engine, {
    ...{ task: causalTask(model), ...attach(model), recompute: 'none', model: weightStream(model, opened.weights), rate: lr },
    optimizer: optimizerSettings(recipe),
    shape: { batch: BATCH, tokens, targets: BATCH * (tokens - 1) },
    feeds: nextTokenFeeds(ids, tokens),
  });
  await opened.weights.close();
  return found;
}

function expectLosses(found: readonly number[], wanted: readonly number[]): void {
  found.forEach((loss, step) => {
    expect(loss, `step ${step}`).toBeCloseTo(wanted[step] ?? Number.NaN, 4);
  });
}

const engine = await openFast();
describe('PEFT', () => {
  test.each(Object.entries(golden.cases))('%s', async (_, { use_rslora, ratio, decay, losses }) => {
    const recipe = recipeFor({ method: 'lora', lora_alpha: alpha, weight_decay: decay, use_rslora, loraplus_lr_ratio: ratio });
    const found = await tracedLosses(recipe, model => {
      const attachment = methods.lora.attach(model, methodSettings(recipe), new Map());
      // The start value of A is that of make_lora_variants.py.
      const start = new Map<string, HostArray>(
        attachment.trainables.map(({ name, shape }) => {
          const width = shape[1] ?? 1;
          const values = new Float32Array(elementCount(shape));
          const isA = name.endsWith('lora_A.weight');
          return [name, values.map((_, at) => (isA ? (((Math.floor(at / width) * 31 + (at % width) * 17) % 23) - 11) / 100 : 0))];
        }),
      );
      return { attachment, start };
    });
    expectLosses(found, losses);
  });

  test.each(Object.entries(golden.pissa))('pissa, %s', async (name, losses) => {
    const settings = { method: 'lora', init_lora_weights: 'pissa', lora_alpha: alpha, weight_decay: 0, use_rslora: name === 'rslora' };
    const recipe = recipeFor(settings);
    const attach = (model: CausalModel) => ({ attachment: methods.lora.attach(model, methodSettings(recipe), new Map()), start: new Map() });
    expectLosses(await tracedLosses(recipe, attach), losses);
  });

  test('shira', async () => {
    const recipe = recipeFor({ method: 'shira', weight_decay: 0 });
    const settings = methodSettings(recipe);
    const found = await tracedLosses(recipe, model => {
      const modules = targetModules(model, settings);
      const counts = elementCounts(modules, elementBudget('shira', settings));
      // Evenly spaced, like the mask of make_lora_variants.py.
      const selection = new Map(
        modules.map(({ name, weight }) => {
          const [count, size] = [valueFor(counts, name), elementCount(weight.shape)];
          return [name, Int32Array.from({ length: count }, (_, k) => Math.floor((k * size) / count))];
        }),
      );
      return { attachment: methods.shira.attach(model, settings, selection), start: new Map() };
    });
    expectLosses(found, golden.shira);
  });
});
