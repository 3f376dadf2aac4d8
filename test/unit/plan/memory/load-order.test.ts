/** Compares the order in which an estimate assumes that a run's variables are loaded with the real order. */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { byteSize } from '../../../../trainer/graph/types.ts';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { weightStream } from '../../../../trainer/model/weight-stream.ts';
import { valueFor } from '../../../../trainer/narrow.ts';
import { headersOf } from '../../../../trainer/plan/config-headers.ts';
import { heldVariables, loadOrder } from '../../../../trainer/plan/memory/held-variables.ts';
import { planRun } from '../../../../trainer/plan/run-plan.ts';
import { optimizerState } from '../../../../trainer/train/optimizer.ts';
import { accumulates } from '../../../../trainer/train/training-params.ts';
import { gradientVariable, updateGroups } from '../../../../trainer/train/update-group.ts';
import { loadVariables } from '../../../../trainer/train/variables.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

const base = join(import.meta.dirname, '..', '..', '..', 'golden', 'llama');
const headers = headersOf(readRecord(join(base, 'config.json')));
const { weights } = await openModel(base);
afterAll(() => weights.close());

test.each([
  'method: spsft\nr: 2',
  'method: spsft\nr: 2\ndtype: bfloat16\ngradient_accumulation_steps: 2',
  'method: spsft\nr: 2\nquantize: nf4',
  'method: full\noptim: adamw_8bit',
])('%s', async lines => {
  const recipe = recipeIn(`model: base\ndata: {train: [train.jsonl]}\nmax_length: 16\n${lines}\n`);
  const plan = planRun({ recipe, headers, on: { engine: 'tensorflow', device: 'cpu' }, recompute: 'none' });
  const { model, attachment, optimizer } = plan;
  const zeros = updateGroups(attachment.trainables, optimizer).flatMap(group => [
    gradientVariable(group),
    ...optimizerState(optimizer, group),
  ]);
  const sizes = new Map(zeros.map(spec => [spec.name, byteSize(spec)]));
  const loaded: number[] = [];
  await loadVariables(
    {
      async load(values) {
        for await (const { name, data } of values) loaded.push(data === 'zeros' ? valueFor(sizes, name) : data.byteLength);
      },
    },
    { model: weightStream(model, weights, { storage: attachment.storage }), attachment, optimizer, accumulates: accumulates(plan) },
  );
  expect(loaded).toEqual(loadOrder(plan, heldVariables(plan)));
});
