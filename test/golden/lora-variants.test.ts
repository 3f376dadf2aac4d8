/** Four steps of AdamW with rsLoRA and LoRA+, as a recipe asks for them, against PEFT's: losses within 1e-4. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { elementCount, type HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { parseRecipe } from '../../trainer/protocol/parse-recipe.ts';
import { methodSettings, optimizerSettings } from '../../trainer/train/recipe-settings.ts';
import { openReference } from '../support/engines.ts';
import { lossTrace, nextTokenFeeds } from '../support/loss-trace.ts';

const caseSchema = z.object({ use_rslora: z.boolean(), ratio: z.number(), decay: z.number(), losses: z.array(z.number()) });
const golden = z
  .object({
    folder: z.string(),
    lr: z.number(),
    tokens: z.number(),
    rank: z.number(),
    alpha: z.number(),
    cases: z.record(z.string(), caseSchema),
  })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, 'lora_variants.json'), 'utf8')));
const { folder, lr, tokens, rank, alpha } = golden;
const BATCH = 2;

function recipeFor({ use_rslora, ratio, decay }: z.infer<typeof caseSchema>) {
  const settings = { model: 'm', 'data.train': 't', method: 'lora', r: rank, lora_alpha: alpha, weight_decay: decay };
  const all = { ...settings, use_rslora, loraplus_lr_ratio: ratio };
  const { recipe } = parseRecipe('', { overrides: Object.entries(all).map(([key, value]) => `${key}=${value}`) });
  if (recipe === undefined) throw new Error('the settings of the case are not a recipe');
  return recipe;
}

const engine = await openReference();
describe('PEFT', () => {
  test.each(Object.entries(golden.cases))('%s', async (_, wanted) => {
    const recipe = recipeFor(wanted);
    const opened = await openModel(join(import.meta.dirname, folder));
    const model = causalModel(opened.config);
    const attachment = methods.lora.attach(model, methodSettings(recipe), new Map());
    // Ids and the start of A are those of make_lora_variants.py.
    const ids = Int32Array.from(
      { length: BATCH * tokens },
      (_, at) => (((at % tokens) * 37 + Math.floor(at / tokens) * 11 + 5) % (model.vocabularySize - 3)) + 3,
    );
    const start = new Map<string, HostArray>(
      attachment.trainables.map(({ name, shape }) => {
        const width = shape[1] ?? 1;
        const values = new Float32Array(elementCount(shape));
        const isA = name.endsWith('lora_A.weight');
        return [name, values.map((_, at) => (isA ? (((Math.floor(at / width) * 31 + (at % width) * 17) % 23) - 11) / 100 : 0))];
      }),
    );
    const found = await lossTrace(engine, {
      ...{ task: causalTask(model), attachment, recompute: 'none', model: weightStream(model, opened.weights), start, rate: lr },
      optimizer: optimizerSettings(recipe),
      shape: { batch: BATCH, tokens, targets: BATCH * (tokens - 1) },
      feeds: nextTokenFeeds(ids, tokens),
    });
    await opened.weights.close();
    found.forEach((loss, step) => {
      expect(loss, `step ${step}`).toBeCloseTo(wanted.losses[step] ?? Number.NaN, 4);
    });
  });
});
