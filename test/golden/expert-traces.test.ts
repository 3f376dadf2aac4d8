/** Compares mixtures of experts with PyTorch: four AdamW steps for all parameters, rows, and low-rank factors, and the scores of rows. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { createBatchPlan } from '../../trainer/data/batch/batch-plan.ts';
import { tokenSource } from '../../trainer/data/batch/batches.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { scoreModel } from '../../trainer/importance/score-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { CausalModel } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { describeOn, openFast, openOthers } from '../support/engines.ts';
import { expectScores, scoresForm } from '../support/golden/golden-scores.ts';
import { everyNth, lossesForm, lossTrace, nextTokenFeeds, waveFactors } from '../support/golden/loss-trace.ts';
import { settingsOf } from '../support/models/method-settings.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const names = z.array(z.string());
const traceForm = lossesForm.extend({
  /** Modules of which every third row trains; below, those with low-rank factors. */
  rows: names,
  low_rank: names,
  /** Stacks of experts with low-rank factors, separate for each expert. */
  low_rank_experts: names,
  lora_experts: z.array(z.number()),
  scores: scoresForm,
});
type Trace = z.infer<typeof traceForm>;

const golden = readGoldenJson(
  'expert_traces.json',
  z.object({
    every: z.number(),
    rate: z.number(),
    rank: z.number(),
    alpha: z.number(),
    input_ids: z.object({ shape: z.tuple([z.number(), z.number()]), data: z.array(z.number()) }),
    folders: z.record(z.string(), traceForm),
  }),
);
const [BATCH, TOKENS] = golden.input_ids.shape;

type Run = 'full' | 'spsft' | 'lora' | 'lora_experts';
const targetsOf = { full: 'low_rank', spsft: 'rows', lora: 'low_rank', lora_experts: 'low_rank_experts' } as const;

function attachmentOf(model: CausalModel, run: Run, trace: Trace) {
  const method: MethodName = run === 'lora_experts' ? 'lora' : run;
  const targets = trace[targetsOf[run]];
  const modules = model.modules.filter(({ name }) => targets.includes(name));
  expect(modules.length).toBe(targets.length);
  const settings = settingsOf({ rank: golden.rank, loraAlpha: golden.alpha, ...(method !== 'full' && { targetModules: targets }) });
  const selection = new Map(modules.map(({ name, weight }) => [name, everyNth(weight.shape[0] as number, golden.every)]));
  const attachment = methods[method].attach(model, settings, selection);
  const start = method === 'lora' ? waveFactors(attachment, modules, ({ name }) => name) : new Map<string, HostArray>();
  return { attachment, start };
}

async function losses(engine: Engine, name: string, run: Run, trace: Trace): Promise<number[]> {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = causalModel(folder.config);
  const shape = { batch: BATCH, tokens: TOKENS, targets: BATCH * (TOKENS - 1) };
  const { attachment, start } = attachmentOf(model, run, trace);
  const found = await lossTrace(engine, {
    ...{ task: causalTask(model), attachment, recompute: 'block', start, shape, rate: golden.rate },
    model: weightStream(model, folder.weights),
    feeds: nextTokenFeeds(Int32Array.from(golden.input_ids.data), TOKENS),
  });
  await folder.weights.close();
  return found;
}

const portable = await openFast();
const engines = await openOthers();

describe.each(Object.entries(golden.folders))('%s', (name, trace) => {
  describeOn(engines, engine =>
    test.each(['full', 'spsft', 'lora', 'lora_experts'] as const)('%s', async run => {
      const found = await losses(engine, name, run, trace);
      found.forEach((loss, i) => expect(loss, `loss ${i}`).toBeCloseTo(trace[run][i] as number, 4));
    }),
  );

  test.each(['taylor', 'taylor_squared', 'taylor_row', 'fisher', 'wanda'] as const)('scores by %s', async measure => {
    const folder = await openModel(join(import.meta.dirname, name));
    const model = causalModel(folder.config);
    const sequences = Array.from({ length: BATCH }, (_, row) => ({
      ids: Int32Array.from(golden.input_ids.data.slice(row * TOKENS, (row + 1) * TOKENS)),
      train: Uint8Array.from({ length: TOKENS }, (_, i) => Math.min(i, 1)),
    }));
    // Longer than the samples: padding must have no effect.
    const sizes = { batchSize: BATCH, maxLength: 16, multipleOf: 16, maxBuckets: 1, targetMultiple: 1, maxTargetSizes: 1 };
    const plan = createBatchPlan(sequences, { ...sizes, packing: false, shuffle: false, grouped: true, seed: 0 });
    const source = tokenSource({ plan, sequences, padId: 0, packed: false });
    const modules = model.modules.filter(module => trace.scores[module.name]?.[measure]);
    expect(modules.length).toBeGreaterThan(0);
    const data = { engine: portable, task: causalTask(model), source, recompute: 'block' as const, exact: false, sweepBytes: 0 };
    const { scores } = await scoreModel({ measure, model, modules, weights: folder.weights, seed: 0, data });
    await folder.weights.close();
    expectScores(modules, scores, module => trace.scores[module.name]?.[measure], { count: 6, smallest: 5e-9 });
  });
});
