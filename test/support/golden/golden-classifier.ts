/** Computes a classifier of `test/golden` on the batch of its reference numbers: logits and gradients, with an attached method. */

import { join } from 'node:path';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type VariableSpec } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import type { Attachment } from '../../../trainer/method/method.ts';
import { declareClassifierBatch } from '../../../trainer/model/classifier-batch.ts';
import { classificationLoss } from '../../../trainer/model/layer/loss/classification-loss.ts';
import type { ClassifierModel } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import type { WeightSource } from '../../../trainer/model/weight-source.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { loadVariables } from '../../../trainer/train/variables.ts';
import { feedsOfClassifier } from '../../../trainer/verify/classifier-reference.ts';
import { imageSizeOf, readGolden } from '../../../trainer/verify/golden.ts';
import { classifierOf } from '../models/classifier-of.ts';

export interface GoldenClassifier {
  readonly model: ClassifierModel;
  readonly weights: WeightSource;
  readonly feeds: Readonly<Record<string, HostArray>>;
  readonly batch: number;
}

export async function openGoldenClassifier(family: string): Promise<GoldenClassifier> {
  const dir = join(import.meta.dirname, '..', '..', 'golden', family);
  const folder = await openModel(dir);
  const reference = await readGolden(join(dir, 'golden.json'));
  const model = classifierOf(folder.config, { imageSize: imageSizeOf(reference) });
  const values = new Map<string, Float32Array>();
  for (const { name } of model.parameters) values.set(name, await folder.weights.readFloat32(name));
  await folder.weights.close();
  const weights = { tensors: folder.weights.tensors, readFloat32: async (tensor: string) => valueFor(values, tensor).slice() };
  return { model, weights, feeds: feedsOfClassifier(model, reference), batch: reference.labels.shape[0] as number };
}

export interface ComputeParams {
  readonly engine: Engine;
  readonly attachment: Attachment;
  /** Weights that replace the base's. */
  readonly weights?: WeightSource;
  readonly start?: ReadonlyMap<string, HostArray>;
  /** Variables whose gradients are computed. */
  readonly wrt?: readonly VariableSpec[];
}

export async function computeGolden(
  { model, feeds, batch, weights: own }: GoldenClassifier,
  { engine, attachment, weights = own, start, wrt = [] }: ComputeParams,
): Promise<Readonly<Record<string, HostArray>>> {
  const graph = new Graph();
  const tracer = new Tracer({ graph, linearHook: attachment.linearHook, storage: attachment.storage });
  const logits = model.logits(tracer, declareClassifierBatch(graph, model.input, { batch, tokens: 0 }));
  const { loss } = classificationLoss(graph, {
    problem: model.problem,
    logits,
    labels: graph.feed('labels', [batch], 'int32'),
    weights: graph.feed('weights', [batch]),
  });
  const variables = wrt.map(spec => ({ name: spec.name, node: graph.read(spec) }));
  const gradients = backward(graph, {
    seeds: [{ node: loss, gradient: graph.scalar(1) }],
    wrt: new Map(variables.map(({ node }) => [node, {}])),
    policy: 'none',
  });
  const outputs = { logits, ...Object.fromEntries(variables.map(({ name, node }) => [name, gradients.get(node) ?? graph.scalar(0)])) };
  const session = await engine.compile(assemble({ run: { graph, outputs, effects: [] } }));
  await loadVariables(session, { model: weightStream(model, weights, { storage: attachment.storage }), attachment, start });
  const found = await session.run('run', feeds);
  await session.dispose();
  return found;
}
