/** Tests the element type of a run: `dtype: auto` measures the device once, and a resumed run keeps the choice. */
import { expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { Job } from '../../../trainer/job/job.ts';
import { choosePrecision } from '../../../trainer/plan/choices/choose-precision.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { openReference } from '../../support/engines.ts';
import { openTiny } from '../../support/runs/tiny-training.ts';

const { model } = await openTiny('llama');
const { recipe } = parseRecipe('model: a\nr: 4\ndtype: auto\ndata: {train: a.jsonl}\n');
if (recipe === undefined) throw new Error('the recipe is wrong');
const job = new Job(() => undefined);

test('a resumed run keeps its type, whatever a measurement says today', async () => {
  const unasked: Engine = {
    description: { ...(await openReference()).description, name: 'tensorflow' },
    compile: () => Promise.reject(new Error('nothing is measured')),
  };
  for (const dtype of ['float32', 'bfloat16'] as const)
    expect(await choosePrecision({ recipe, job, model, checkpoint: { state: { dtype } } }, unasked)).toMatchObject({ dtype });
  await expect(choosePrecision({ recipe, job, model }, unasked)).rejects.toThrow('nothing is measured');
});

test('an engine without bfloat16 computes in float32', async () => {
  expect(await choosePrecision({ recipe, job, model }, await openReference())).toMatchObject({ dtype: 'float32' });
});
