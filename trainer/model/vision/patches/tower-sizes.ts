/** The sizes of a vision transformer over the patches of an image of any size, whose squares of neighboring patches become vectors. */

import type { PixelScale } from '../vision-encoder.ts';
import type { PixelLimits } from './smart-resize.ts';

export interface TowerSizes {
  readonly blocks: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly activation: string;
  /** Base of the rotary positions. */
  readonly theta: number;
  /** Side of a patch in pixels, and how many frames it covers: a still image is repeated. */
  readonly patch: number;
  readonly frames: number;
  /** Side of the square of neighboring patches that become one vector. */
  readonly merged: number;
  /** Features of a vector, which are those of the language model. */
  readonly outputSize: number;
  readonly limits: PixelLimits;
  readonly scale: PixelScale;
}
