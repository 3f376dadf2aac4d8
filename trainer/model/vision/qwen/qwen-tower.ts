/** The parts that the vision towers of Qwen's generations share, and those of other makers that resize and cut images as Qwen's do. */

import type { Node } from '../../../graph/graph.ts';
import { ModelConfigError } from '../../model-spec.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import { product } from '../../product.ts';
import type { Tracer } from '../../tracer.ts';
import { MAX_SIDES_RATIO, smartResize } from '../smart-resize.ts';
import type { ImageLayout, ImageSize } from '../vision-encoder.ts';
import type { QwenSizes } from './qwen-vision-config.ts';

/** The text of an image's token, and its placeholder in chat templates. */
export const IMAGE = '<|image_pad|>';

/** @param token the text of a vector @throws ModelConfigError for a size that the model does not take */
export function layoutOf({ limits }: QwenSizes, image: ImageSize, maxPixels = limits.maxPixels, token = IMAGE): ImageLayout {
  const { width, height } = image;
  if (Math.max(width, height) > MAX_SIDES_RATIO * Math.min(width, height))
    throw new ModelConfigError(
      `This model takes no image of ${width} × ${height} pixels: one side is more than ${MAX_SIDES_RATIO} times the other. Crop the image.`,
    );
  // As in LLaMA-Factory, the least size of the processor stays.
  const most = Math.max(limits.minPixels, Math.min(limits.maxPixels, maxPixels));
  const resized = smartResize(image, { ...limits, maxPixels: most });
  const [rows, columns] = [resized.height / limits.factor, resized.width / limits.factor];
  const vectors = rows * columns;
  return { text: token.repeat(vectors), views: [{ resizes: [resized], vectors }], grid: { rows, columns } };
}

/**
 * The products of patches with their weights, [count, hiddenSize], without a bias. Declares the feed `patches` [count, 3 · patch²].
 * @param patches [hiddenSize, 3, frames, patch, patch]
 */
export function patchProducts(tracer: Tracer, { hiddenSize, frames, patch }: QwenSizes, patches: ModuleSpec, count: number): Node {
  const { graph } = tracer;
  const values = graph.feed('patches', [count, 3 * patch * patch]);
  // All frames of a still image are equal, so the weights of a pixel are added.
  const weights = graph.reshape(tracer.parameter(patches.weight), [hiddenSize, 3, frames, patch * patch]);
  const still = graph.reshape(graph.sum(weights, [2]), [hiddenSize, 3 * patch * patch]);
  return product(graph, tracer.compute, values, still, { transposeB: true });
}

/**
 * Adds the positions of patches, each the sum of some rows of a table with shares; x [count, hiddenSize]. Declares the feeds `cells` int32
 * and `shares`, both [taps, count].
 */
export function withPositions(tracer: Tracer, x: Node, table: ModuleSpec, taps: number, count: number): Node {
  const { graph } = tracer;
  const [cells, shares] = [graph.feed('cells', [taps, count], 'int32'), graph.feed('shares', [taps, count])];
  const row = (from: Node, i: number): Node => graph.sliceAxis(from, 0, i, 1);
  return Array.from({ length: taps }, (_, i) => i).reduce((sum, i) => {
    const cell = tracer.embedding(table, graph.reshape(row(cells, i), [count]));
    return graph.add(sum, graph.mul(cell, graph.reshape(row(shares, i), [count, 1])));
  }, x);
}
