/** The size to which Qwen's models resize an image, as do those of other makers with the same processor. */

import { ModelConfigError } from '../../model-spec.ts';
import type { ImageLayout, ImageSize } from '../vision-encoder.ts';

export interface PixelLimits {
  /** Both sides become multiples of it. */
  readonly factor: number;
  readonly minPixels: number;
  readonly maxPixels: number;
}

/** The largest ratio of the sides that Transformers' processor takes. */
const MAX_SIDES_RATIO = 200;

/** Rounds halves to the even neighbor, as Python does. */
export function roundEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

/**
 * Returns sides with about the ratio of the image's, and a number of pixels within the limits (Transformers' `smart_resize`).
 * @param least of each side, in factors, before the number of pixels is compared with the limits
 */
export function smartResize({ width, height }: ImageSize, { factor, minPixels, maxPixels }: PixelLimits, least = 0): ImageSize {
  const both = (side: (pixels: number) => number): ImageSize => ({ width: factor * side(width), height: factor * side(height) });
  const rounded = both(pixels => Math.max(least, roundEven(pixels / factor)));
  const area = rounded.width * rounded.height;
  if (area > maxPixels) {
    const shrunk = Math.sqrt((height * width) / maxPixels);
    return both(pixels => Math.max(1, Math.floor(pixels / shrunk / factor)));
  }
  if (area < minPixels) {
    const grown = Math.sqrt(minPixels / (height * width));
    return both(pixels => Math.ceil((pixels * grown) / factor));
  }
  return rounded;
}

/**
 * The layout of an image that is resized by `smartResize` and becomes one vector per square of `factor` pixels.
 * @param token the text of a vector
 * @throws ModelConfigError for a size that the model does not take
 */
export function smartLayout(limits: PixelLimits, token: string, image: ImageSize, maxPixels = limits.maxPixels): ImageLayout {
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
