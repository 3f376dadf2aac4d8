/** How LFM2-VL divides an image: as a whole in about its own size, or as a grid of square tiles and a small picture of the whole. */

import { type PixelLimits, roundEven, smartResize } from '../../patches/smart-resize.ts';
import { nearestGrid, type TileCounts, type TileGrid, tilesOf } from '../../tile-grid.ts';
import type { ImageLayout, ImageSize, ImageView } from '../../vision-encoder.ts';

export interface Tiling {
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** The limits of the picture of the whole image; a square of `factor` pixels becomes a vector. */
  readonly limits: PixelLimits;
  /** The number of pixels beyond which an image is divided. */
  readonly tolerated: number;
  /** Side of a tile in pixels. */
  readonly tile: number;
  /** The least and greatest number of tiles; undefined if images are never divided. */
  readonly counts: TileCounts | undefined;
  /** True if a picture of the whole image follows the tiles. */
  readonly hasThumbnail: boolean;
  /** True if the text marks the beginning and end of images, and the places of tiles. */
  readonly hasMarks: boolean;
}

export const IMAGE = '<image>';
const [START, END, THUMBNAIL] = ['<|image_start|>', '<|image_end|>', '<|img_thumbnail|>'];

/** @param maxPixels limits the tiles together, and the picture of a whole image */
export function layoutOf(image: ImageSize, tiling: Tiling, maxPixels = Number.POSITIVE_INFINITY): ImageLayout {
  const { limits, tile, hasThumbnail, hasMarks } = tiling;
  const most = Math.max(limits.minPixels, Math.min(limits.maxPixels, maxPixels));
  const resized = smartResize(image, { ...limits, maxPixels: most }, 1);
  const whole: ImageView = { resizes: [resized], vectors: (resized.width * resized.height) / limits.factor ** 2 };
  const marked = (mark: string, { vectors }: ImageView): string => `${hasMarks ? mark : ''}${IMAGE.repeat(vectors)}`;
  const around = (text: string): string => (hasMarks ? `${START}${text}${END}` : text);
  const grid = gridOf(image, tiling, maxPixels);
  if (!grid) return { text: around(marked('', whole)), views: [whole] };
  const { columns } = grid;
  const tiles = tilesOf(grid, tile, (tile / limits.factor) ** 2);
  const texts = tiles.map((view, i) => marked(`<|img_row_${Math.floor(i / columns) + 1}_col_${(i % columns) + 1}|>`, view));
  return hasThumbnail
    ? { text: around([...texts, marked(THUMBNAIL, whole)].join('')), views: [...tiles, whole] }
    : { text: around(texts.join('')), views: tiles };
}

/** The rows and columns of tiles; undefined for an image that is not divided. */
function gridOf(image: ImageSize, tiling: Tiling, maxPixels: number): TileGrid | undefined {
  const { patch, limits, tolerated, tile, counts } = tiling;
  const { factor } = limits;
  const side = (pixels: number): number => Math.max(patch, roundEven(pixels / factor) * factor);
  const most = Math.min(counts?.most ?? 0, Math.floor(maxPixels / tile ** 2));
  if (!counts || side(image.width) * side(image.height) <= tolerated || most < counts.least) return undefined;
  return nearestGrid(image, tile, { least: counts.least, most });
}
