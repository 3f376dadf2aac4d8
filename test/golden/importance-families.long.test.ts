/** Compares row scores of classifiers of every kind, for every measure that uses data, with PyTorch's own gradients per sample. */
import type { ModuleSpec } from '../../trainer/model/module-specs.ts';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import type { MeasureName } from '../../trainer/catalog/measures.ts';
import { type ImportanceData, scoreModel } from '../../trainer/importance/score-model.ts';
import type { ClassifierModel } from '../../trainer/model/model-spec.ts';
import { classifierTask } from '../../trainer/objective/classifier/classifier-task.ts';
import type { PlannedBatch } from '../../trainer/data/batch/batch-plan.ts';
import type { Batch, BatchSource } from '../../trainer/data/batch/batches.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { openFast } from '../support/engines.ts';
import { expectScores, scoresForm } from '../support/golden/golden-scores.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const golden = readGoldenJson(
  'importance_families.json',
  z.object({
    samples: z.number(),
    tokens: z.number(),
    sides: z.record(z.string(), z.number()),
    labels: z.array(z.number()),
    folders: z.record(z.string(), scoresForm),
  }),
);
const { samples: SAMPLES, tokens: TOKENS, labels: LABELS } = golden;
const engine = await openFast();

/** Returns sample i as in `scripts/make_importance_families.py`. */
function sampleOf({ input }: ClassifierModel, i: number): Record<string, number[]> {
  const label = { labels: [LABELS[i] as number], weights: [1] };
  if (input.kind === 'image') {
    // The reference is ordered by channel, row and column; here, the channels of a pixel are adjacent.
    const places = input.height * input.width;
    const place = (at: number) => (at % 3) * places + Math.floor(at / 3);
    return { ...label, pixels: Array.from({ length: 3 * places }, (_, at) => Math.sin(0.7 * place(at) + i)) };
  }
  const ids = Array.from({ length: TOKENS }, (_, t) => 1 + ((7 * i * i + 3 * t * t + 11 * i * t + 5) % (input.vocabularySize - 1)));
  return { ...label, ids, types: ids.map(() => 0), seen: ids.map((_, t) => Number(t < TOKENS - i)) };
}

/** Returns all samples in one batch, or in batches of two, so that classes are mixed and one batch is incomplete. */
function sourceOf(model: ClassifierModel, batchSize: number): BatchSource {
  const rows = LABELS.map((_, row) => ({ sequences: [row], length: 1, targets: 1 }));
  const bucket = { batch: batchSize, tokens: model.input.kind === 'image' ? 1 : TOKENS, targets: batchSize };
  const starts = Array.from({ length: Math.ceil(SAMPLES / batchSize) }, (_, b) => b * batchSize);
  const planned = starts.map(start => ({ bucket, rows: rows.slice(start, start + batchSize), epoch: 0 }));
  const fill = (batch: PlannedBatch): Batch => {
    const indices = batch.rows.flatMap(row => row.sequences);
    const parts = indices.map(index => sampleOf(model, index));
    const whole = (name: string): number[] => {
      const values = parts.flatMap(part => part[name] ?? []);
      return [...values, ...new Array((values.length / indices.length) * (batchSize - indices.length)).fill(0)];
    };
    const feeds = (of: number): Record<string, HostArray> => ({
      ...(model.input.kind === 'image'
        ? { pixels: Float32Array.from(whole('pixels')) }
        : { ids: Int32Array.from(whole('ids')), types: Int32Array.from(whole('types')), seen: Float32Array.from(whole('seen')) }),
      labels: Int32Array.from(whole('labels')),
      weights: Float32Array.from(whole('weights'), weight => weight / of),
    });
    return { bucket, sampleIndices: indices, tokenCount: indices.length, targetCount: indices.length, feeds };
  };
  return { plan: { rows, buckets: [bucket], batchesPerEpoch: planned.length, paddingShare: 0, epoch: () => planned }, fill };
}

/**
 * Layers of DeBERTa and tables that also process positions, which all samples share and no class owns; element-wise measures count all of
 * them.
 */
const SHARED = /(query|key)_proj$|rel_embeddings|relative_attention_bias|encoder\.LayerNorm|position_embeddings?|token_type_embeddings/;
const ELEMENTWISE: readonly MeasureName[] = ['taylor', 'taylor_squared'];
const cases: readonly (readonly [MeasureName, number])[] = [
  ...ELEMENTWISE.map(measure => [measure, SAMPLES] as const),
  ...(['taylor_row', 'fisher', 'qm_taylor', 'class_max_taylor', 'class_mean_taylor', 'wanda', 'activation'] as const).map(
    measure => [measure, 2] as const,
  ),
];

/** Remainder of sums that cancel: a norm after an embedding makes w·∇w vanish. */
const SMALLEST = 5e-9;

describe.each(Object.keys(golden.folders))('%s', name => {
  const expected = golden.folders[name] ?? {};
  const opened = openModel(join(import.meta.dirname, name)).then(folder => {
    const { [name]: side = 0 } = golden.sides;
    return { model: classifierOf(folder.config, { imageSize: [side, side] }), weights: folder.weights };
  });
  afterAll(async () => (await opened).weights.close());
  const inReference = ({ weight }: ModuleSpec) => expected[weight.name.replace(/\.weight$/, '')];

  test.each(cases)('%s, in batches of %i', async (measure, batchSize) => {
    const { model, weights } = await opened;
    const isAll = ELEMENTWISE.includes(measure);
    const modules = model.modules.filter(module => inReference(module)?.[measure] && (isAll || !SHARED.test(module.name)));
    expect(modules.length).toBeGreaterThan(10);
    const data: ImportanceData = {
      engine,
      task: classifierTask(model),
      source: sourceOf(model, batchSize),
      recompute: 'none',
      exact: false,
      sweepBytes: 0,
      classes: {
        names: model.labels,
        counts: model.labels.map((_, label) => LABELS.filter(of => of === label).length),
        of: sample => LABELS[sample] as number,
      },
    };
    const { scores } = await scoreModel({ measure, model, modules, weights, seed: 0, data });
    expectScores(modules, scores, module => inReference(module)?.[measure], { count: 4, smallest: SMALLEST });
  });
});
