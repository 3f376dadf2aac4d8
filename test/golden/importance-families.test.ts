/** In every family, the class scores of a mixed batch are those of the samples alone: a class of one sample each. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { type ImportanceData, scoreModel } from '../../trainer/importance/score-model.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { ClassifierModel } from '../../trainer/model/model-spec.ts';
import { classifierTask } from '../../trainer/train/classifier-task.ts';
import type { Batch, BatchSource } from '../../trainer/train/data/batches.ts';
import { expectClose } from '../support/closeness.ts';
import { openReference } from '../support/engines.ts';
import { randomNumbers } from '../support/operation-case.ts';

const SAMPLES = 3;
const TOKENS = 6;
const engine = await openReference();

/** One sample as the model is fed it. */
function sampleOf({ input, labels }: ClassifierModel, i: number): Record<string, number[]> {
  const label = [i % labels.length];
  if (input.kind === 'image') return { pixels: randomNumbers(input.height * input.width * input.channels, -1, 1, i + 1), labels: label, weights: [1] };
  const ids = randomNumbers(TOKENS, 1, input.vocabularySize, i + 1).map(Math.floor);
  return { ids, types: ids.map(() => 0), seen: ids.map((_, t) => Number(t < TOKENS - i)), labels: label, weights: [1] };
}

function sourceOf(model: ClassifierModel, samples: readonly number[], batchSize: number): BatchSource {
  const bucket = { batch: batchSize, tokens: model.input.kind === 'image' ? 1 : TOKENS, targets: batchSize };
  const rows = samples.map((_, row) => ({ sequences: [row], length: 1, targets: 1 }));
  const planned = [{ bucket, rows, epoch: 0 }];
  const parts = samples.map(sample => sampleOf(model, sample));
  const join = (name: string): number[] => parts.flatMap(part => part[name] ?? []);
  const feeds = (of: number): Record<string, HostArray> => ({
    ...(model.input.kind === 'image'
      ? { pixels: Float32Array.from(join('pixels')) }
      : { ids: Int32Array.from(join('ids')), types: Int32Array.from(join('types')), seen: Float32Array.from(join('seen')) }),
    labels: Int32Array.from(join('labels')),
    weights: Float32Array.from(join('weights'), weight => weight / of),
  });
  const batch: Batch = { bucket, sampleIndices: [...samples.keys()], tokenCount: samples.length, targetCount: samples.length, feeds };
  return { plan: { rows, buckets: [bucket], batchesPerEpoch: 1, paddingShare: 0, epoch: () => planned }, fill: () => batch };
}

/** Layers of DeBERTa that also see positions, which all samples share and no class owns. */
const SHARED = /query_proj|key_proj|rel_embeddings|encoder\.LayerNorm|position_embeddings|token_type_embeddings/;

describe.each(['bert', 'deberta', 'vit', 'deit', 'resnet'])('%s', name => {
  test('linear, convolution and norm rows', async () => {
    const folder = await openModel(join(import.meta.dirname, name));
    const model = loadModel(folder.config, { imageSize: [16, 16] });
    if (model.kind !== 'classifier') throw new Error(name);
    const modules = model.modules.filter(module => module.kind !== 'parameter' && module.kind !== 'embedding' && !SHARED.test(module.name));
    const data = (samples: readonly number[]): ImportanceData => ({
      engine,
      task: classifierTask(model),
      source: sourceOf(model, samples, samples.length),
      recompute: 'none',
      exact: false,
      sweepBytes: 0,
      classes: { names: samples.map(String), counts: samples.map(() => 1), of: sample => sample },
    });
    const all = [...Array(SAMPLES).keys()];
    const params = { model, modules, weights: folder.weights, seed: 0 };
    const mixed = await scoreModel({ ...params, measure: 'qm_taylor', data: data(all) });
    for (const sample of all) {
      const { scores } = await scoreModel({ ...params, measure: 'taylor_row', data: data([sample]) });
      for (const module of modules) {
        const alone = scores.get(module.name) as Float32Array;
        const found = mixed.classes?.scores.get(module.name)?.subarray(sample * alone.length, (sample + 1) * alone.length) ?? [];
        expectClose([...found], [...alone], 2e-5, `${module.name}, sample ${sample}`);
      }
    }
    for (const measure of ['wanda', 'activation', 'fisher'] as const) {
      const { scores } = await scoreModel({ ...params, measure, data: data(all) });
      for (const module of modules) expect(scores.get(module.name)?.every(score => Number.isFinite(score) && score >= 0), module.name).toBe(true);
    }
    await folder.weights.close();
  });
});
