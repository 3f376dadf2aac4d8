/** The parts that image models share: their input, and a classifier with one head on their features. */

import type { Node } from '../../../graph/graph.ts';
import { type ClassifierBatch, type ClassifierModel, ModelConfigError } from '../../model-spec.ts';
import { type ModuleSpec, parametersOf } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { Labels } from '../labels.ts';

/** @throws ModelConfigError if an image model is given text */
export function pixelsOf(batch: ClassifierBatch): Node {
  if (batch.kind !== 'image') throw new ModelConfigError('this model takes images, not text');
  return batch.pixels;
}

interface ImageConfig extends Pick<Labels, 'labels' | 'problem'> {
  /** Height and width in pixels. */
  readonly image: readonly [number, number];
  readonly channels: number;
}

interface ImageClassifier extends Pick<ClassifierModel, 'family' | 'blocks' | 'hiddenSize' | 'modules'> {
  readonly head: ModuleSpec;
  /** True if images may have another size. */
  readonly resizable: boolean;
  /** Computes the features that the head reads, [batch, hiddenSize], from pixels. */
  readonly features: (tracer: Tracer, pixels: Node) => Node;
}

/** An image classifier with one head on its features. */
export const imageClassifier = (
  { labels, problem, image: [height, width], channels }: ImageConfig,
  { head, resizable, features, modules, ...model }: ImageClassifier,
): ClassifierModel => ({
  ...model,
  kind: 'classifier',
  modules,
  parameters: parametersOf(modules),
  input: { kind: 'image', height, width, channels, resizable },
  labels,
  problem,
  heads: [head],
  logits: (tracer, batch) => tracer.linear(head, features(tracer, pixelsOf(batch))),
});
