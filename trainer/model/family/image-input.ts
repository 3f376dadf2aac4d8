/** What models of images share: their input. */
import type { Node } from '../../graph/graph.ts';
import { type ClassifierBatch, ModelConfigError } from '../model-spec.ts';

/** @throws ModelConfigError where a model of images is given text */
export function pixelsOf(batch: ClassifierBatch): Node {
  if (batch.kind !== 'image') throw new ModelConfigError('this model reads images, and was given text');
  return batch.pixels;
}
