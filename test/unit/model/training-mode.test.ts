/**
 * Tests classifiers in training: dropout drops, the same seed drops the same, batch statistics normalize, and every recompute policy gives
 * the same gradients as none.
 */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../../../trainer/graph/recompute.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { declareClassifierBatch } from '../../../trainer/model/classifier-batch.ts';
import { classificationLoss } from '../../../trainer/model/layer/loss/classification-loss.ts';
import type { ClassifierModel } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { atLeast, valueFor } from '../../../trainer/narrow.ts';
import { openFast } from '../../support/engines.ts';
import { classifierOf } from '../../support/models/classifier-of.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

const [BATCH, TOKENS] = [2, 6] as const;

async function open(name: string) {
  const folder = await openModel(join(import.meta.dirname, '..', '..', 'golden', name));
  return { folder, model: classifierOf(folder.config, { imageSize: [24, 24] }) };
}

function feedsOf({ input }: ClassifierModel): Record<string, HostArray> {
  const labels = Int32Array.from({ length: BATCH }, (_, i) => i);
  const numbers = (count: number) => Float32Array.from(randomNumbers(count, -1, 1, 3));
  if (input.kind === 'image') return { labels, pixels: numbers(BATCH * input.height * input.width * input.channels) };
  const count = BATCH * TOKENS;
  const tokens = { ids: Int32Array.from({ length: count }, (_, i) => 5 + i), seen: new Float32Array(count).fill(1) };
  return { labels, ...tokens, ...(input.tokenTypes > 1 ? { types: new Int32Array(count) } : {}) };
}

/** Returns the loss, and the gradient of every parameter, in training mode. */
async function step(name: string, policy: RecomputePolicy, seeds: readonly (readonly [number, number])[]) {
  const { folder, model } = await open(name);
  const graph = new Graph();
  const tracer = new Tracer({ graph, seed: graph.feed('seed', [2], 'int32'), batchNorm: 'updated' });
  const logits = model.logits(tracer, declareClassifierBatch(graph, model.input, { batch: BATCH, tokens: TOKENS }));
  const labels = graph.feed('labels', [BATCH], 'int32');
  const weights = graph.constant(new Float32Array(BATCH).fill(1 / BATCH), [BATCH], 'float32');
  const { loss } = classificationLoss(graph, { problem: 'single_label', logits, labels, weights });
  const trained = model.parameters.filter(({ buffer }) => !buffer);
  for (const parameter of model.parameters) graph.declare({ ...parameter, dtype: 'float32' });
  const nodes = new Map(trained.map(parameter => [parameter.name, tracer.parameter(parameter)]));
  const found = backward(graph, {
    seeds: [{ node: loss, gradient: graph.scalar(1) }],
    wrt: new Map([...nodes.values()].map(node => [node, {}])),
    policy,
  });
  const gradients = Object.fromEntries([...nodes].map(([parameter, node]) => [parameter, valueFor(found, node)]));
  const session = await engine.compile(assemble({ step: { graph, outputs: { loss, ...gradients }, effects: [] } }));
  try {
    await session.load(weightStream(model, folder.weights));
    const results: Record<string, HostArray>[] = [];
    for (const seed of seeds) results.push(await session.run('step', { ...feedsOf(model), seed: Int32Array.from(seed) }));
    return atLeast(results, 1);
  } finally {
    await session.dispose();
    await folder.weights.close();
  }
}

describe.each(['bert', 'albert', 'deberta', 'modernbert', 'vit', 'resnet_basic'])('%s', name => {
  test('every policy gives the gradients of keeping everything', async () => {
    const [kept] = await step(name, 'none', [[1, 2]]);
    for (const policy of RECOMPUTE_POLICIES.filter(each => each !== 'none')) {
      const [found] = await step(name, policy, [[1, 2]]);
      expect(Object.keys(found)).toEqual(Object.keys(kept));
      for (const [parameter, values] of Object.entries(found))
        expect(Array.from(values), `${policy}: ${parameter}`).toEqual(Array.from(kept[parameter] ?? []));
    }
  });
});

test.each(['bert', 'roberta', 'distilbert', 'electra', 'albert_groups', 'mpnet', 'deberta'])('%s drops by its seed', async name => {
  const [first, again, other] = await step(name, 'none', [
    [1, 2],
    [1, 2],
    [1, 3],
  ]);
  expect(again?.loss).toEqual(first.loss);
  expect(other?.loss).not.toEqual(first.loss);
});
