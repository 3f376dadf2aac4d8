/** How LFM2-VL divides an image: as a whole in about its own size, or as a grid of square tiles and a small picture of the whole. */

import { type PixelLimits, roundEven, smartResize } from './smart-resize.ts';
import type { ImageLayout, ImageSize, ImageView } from './vision-encoder.ts';

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
  readonly counts: { readonly least: number; readonly most: number } | undefined;
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
  const { rows, columns } = grid;
  const vectors = (tile / limits.factor) ** 2;
  const resizes = [{ width: columns * tile, height: rows * tile }];
  const places = Array.from({ length: rows * columns }, (_, i) => ({ row: Math.floor(i / columns), column: i % columns }));
  const tiles = places.map(
    ({ row, column }): ImageView => ({ resizes, part: { left: column * tile, top: row * tile, width: tile, height: tile }, vectors }),
  );
  const texts = tiles.map((view, i) => marked(`<|img_row_${Math.floor(i / columns) + 1}_col_${(i % columns) + 1}|>`, view));
  return hasThumbnail
    ? { text: around([...texts, marked(THUMBNAIL, whole)].join('')), views: [...tiles, whole] }
    : { text: around(texts.join('')), views: tiles };
}

/** The rows and columns of tiles; undefined for an image that is not divided. */
function gridOf(image: ImageSize, tiling: Tiling, maxPixels: number): { readonly rows: number; readonly columns: number } | undefined {
  const { patch, limits, tolerated, tile, counts } = tiling;
  const { factor } = limits;
  const side = (pixels: number): number => Math.max(patch, roundEven(pixels / factor) * factor);
  const most = Math.min(counts?.most ?? 0, Math.floor(maxPixels / tile ** 2));
  if (!counts || side(image.width) * side(image.height) <= tolerated || most < counts.least) return undefined;
  let best = { rows: 1, columns: 1 };
  let least = Number.POSITIVE_INFINITY;
  for (const grid of grids(counts.least, most)) {
    const difference = Math.abs(image.width / image.height - grid.columns / grid.rows);
    // Of two that are as close, the larger one is taken if the image has more than half of its pixels.
    if (difference < least || (difference === least && image.width * image.height > 0.5 * tile ** 2 * grid.rows * grid.columns))
      best = grid;
    least = Math.min(least, difference);
  }
  return best;
}

/** All grids of so many tiles, by their number and then by their columns. */
function grids(least: number, most: number): { readonly rows: number; readonly columns: number }[] {
  return Array.from({ length: Math.max(0, most - least + 1) }, (_, i) => least + i).flatMap(count =>
    Array.from({ length: count }, (_, i) => i + 1)
      .filter(columns => count % columns === 0)
      .map(columns => ({ columns, rows: count / columns })),
  );
}
