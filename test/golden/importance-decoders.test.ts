/** Compares row scores of decoders on batches with padding and masked targets with PyTorch's own gradients and inputs. */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { MeasureName } from '../../trainer/catalog/measures.ts';
import { createBatchPlan } from '../../trainer/data/batch/batch-plan.ts';
import { tokenSource } from '../../trainer/data/batch/batches.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { scoreModel } from '../../trainer/importance/score-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { openFast } from '../support/engines.ts';
import { expectScores, scoresForm } from '../support/golden/golden-scores.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const golden = readGoldenJson(
  'importance_decoders.json',
  z.object({ lengths: z.array(z.number()), prompts: z.array(z.number()), folders: z.record(z.string(), scoresForm) }),
);
const { lengths, prompts } = golden;
const engine = await openFast();

/** Returns sample i as in `scripts/make_importance_decoders.py`. */
const sampleOf = (i: number, vocabularySize: number) => ({
  ids: Int32Array.from({ length: lengths[i] as number }, (_, t) => 1 + ((7 * i * i + 3 * t * t + 11 * i * t + 5) % (vocabularySize - 1))),
  train: Uint8Array.from({ length: lengths[i] as number }, (_, t) => Number(t >= (prompts[i] as number))),
});

/** Measures with batch sizes. Element-wise measures take all samples in one batch; the others are the same in batches of two. */
const cases: readonly (readonly [MeasureName, number])[] = [
  ['taylor', lengths.length],
  ['taylor_row', 2],
  ['fisher', 2],
  ['wanda', 2],
];

describe.each(Object.keys(golden.folders))('%s', name => {
  const expected = golden.folders[name] ?? {};
  const opened = openModel(join(import.meta.dirname, name));
  afterAll(async () => (await opened).weights.close());

  test.each(cases)('%s, in batches of %i', async (measure, batchSize) => {
    const { config, weights } = await opened;
    const model = causalModel(config);
    const readByLoss = model.modules.some(module => module.name === 'lm_head') ? 'lm_head' : 'model.embed_tokens';
    const isWhole = measure.startsWith('taylor');
    const scored = model.modules.filter(module => module.kind !== 'parameter');
    const modules = scored.filter(module => isWhole || module.name !== readByLoss);
    expect(modules.map(module => module.name).filter(module => !expected[module])).toEqual([]);
    expect(modules).toHaveLength(Object.keys(expected).length - Number(!isWhole));
    const sequences = lengths.map((_, i) => sampleOf(i, model.vocabularySize));
    const sizes = { maxLength: 16, maxBuckets: 1, multipleOf: 16, targetMultiple: 1, maxTargetSizes: 1 };
    const plan = createBatchPlan(sequences, { batchSize, packing: false, shuffle: false, grouped: false, seed: 0, ...sizes });
    const source = tokenSource({ plan, sequences, padId: 0, packed: false });
    const data = { engine, task: causalTask(model), source, recompute: 'none' as const, exact: false, sweepBytes: 0 };
    const { scores } = await scoreModel({ measure, model, modules, weights, seed: 0, data });
    expectScores(modules, scores, module => expected[module.name]?.[measure], { count: 8 });
  });
});
