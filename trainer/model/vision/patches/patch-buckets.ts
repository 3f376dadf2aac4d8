/** The shapes of programs that read any number of patches, of which the last ones may be padding. */

import type { ImageView } from '../vision-encoder.ts';

/** Shapes for each doubling. */
const PER_DOUBLING = 4;

/**
 * The smallest shape for a number of vectors: 16, 20, 24, 28, 32, 40, …, so that less than a fifth is padding beyond 16.
 * @param least the smallest shape of all, a power of 2
 */
export function bucketOf(vectors: number, least = 16): number {
  const wanted = Math.max(vectors, least);
  const step = 2 ** Math.floor(Math.log2(wanted)) / PER_DOUBLING;
  return step * Math.ceil(wanted / step);
}

/**
 * The number of patches in the shape for an image.
 * @param merged side of the square of patches that become one vector
 */
export const patchesOf = ({ vectors }: Pick<ImageView, 'vectors'>, merged: number): number => bucketOf(vectors) * merged ** 2;
