/**
 * How MiniCPM-V divides an image (LLaVA-UHD, Xu et al. 2024): a picture of the whole, and for a large image also a grid of slices, whose
 * number follows from its pixels and whose rows and columns follow from the ratio of its sides.
 */

import { roundEven } from '../../patches/smart-resize.ts';
import type { TileGrid } from '../../tile-grid.ts';
import type { ImageLayout, ImageSize, ImageView } from '../../vision-encoder.ts';

export interface Slicing {
  /** Both sides of a view are multiples of it, in pixels; a square of so many pixels becomes a vector. */
  readonly factor: number;
  /** Side of the square with as many pixels as a view. */
  readonly side: number;
  /** The greatest number of slices; 1 if images are not divided. */
  readonly most: number;
}

/** The text of an image's token, and its placeholder in chat templates. */
export const IMAGE = '<|image_pad|>';

/** The text before an image that gives its number in the text. */
export const numberOf = (index: number): string => `<image_id>${index}</image_id>`;

/** @param maxPixels limits the slices together, and the picture of an image that is not divided */
export function layoutOf(image: ImageSize, slicing: Slicing, maxPixels = Number.POSITIVE_INFINITY): ImageLayout {
  const { factor, side } = slicing;
  const written = ({ vectors }: ImageView, name: string): string => `<${name}>${IMAGE.repeat(vectors)}</${name}>`;
  const viewOf = (resized: ImageSize, part?: ImageView['part']): ImageView => {
    const { width, height } = part ?? resized;
    return { resizes: [resized], ...(part && { part }), vectors: (width * height) / factor ** 2 };
  };
  const grid = gridOf(image, { ...slicing, most: Math.min(slicing.most, Math.floor(maxPixels / side ** 2)) });
  if (!grid) {
    const whole = viewOf(sizeOfView(image, { factor, side: Math.min(side, Math.floor(Math.sqrt(maxPixels))) }, true));
    return { text: written(whole, 'image'), views: [whole] };
  }
  const { rows, columns } = grid;
  const whole = viewOf(sizeOfView(image, slicing, false));
  const even = { width: rounded(image.width, columns), height: rounded(image.height, rows) };
  const slice = sizeOfView({ width: even.width / columns, height: even.height / rows }, slicing, true);
  const divided = { width: slice.width * columns, height: slice.height * rows };
  const slices = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_each, column) => viewOf(divided, { left: column * slice.width, top: row * slice.height, ...slice })),
  );
  const lines = slices.map(own => own.map(view => written(view, 'slice')).join(''));
  return { text: written(whole, 'image') + lines.join('\n'), views: [whole, ...slices.flat()] };
}

const rounded = (length: number, divisor: number): number => Math.max(roundEven(length / divisor) * divisor, divisor);

/** @param grows true if a small picture is made larger */
function sizeOfView({ width, height }: ImageSize, { factor, side }: Omit<Slicing, 'most'>, grows: boolean): ImageSize {
  if (!grows && width * height <= side ** 2) return { width: rounded(width, factor), height: rounded(height, factor) };
  const ratio = width / height;
  const high = Math.trunc(side / Math.sqrt(ratio));
  return { width: rounded(Math.trunc(high * ratio), factor), height: rounded(high, factor) };
}

/** The rows and columns of slices; undefined for an image that is not divided. */
function gridOf({ width, height }: ImageSize, { side, most }: Slicing): TileGrid | undefined {
  const wanted = Math.min(Math.ceil((width * height) / side ** 2), most);
  if (wanted <= 1) return undefined;
  const ratio = Math.log(width / height);
  let best: TileGrid = { rows: 1, columns: 1 };
  let smallest = Number.POSITIVE_INFINITY;
  for (const grid of [wanted - 1, wanted, wanted + 1].flatMap(count => (count === 1 || count > most ? [] : gridsWith(count)))) {
    const difference = Math.abs(ratio - Math.log(grid.columns / grid.rows));
    // Of two that are as near, the one with more rows is taken.
    if (difference < smallest || (difference === smallest && grid.rows > best.rows)) best = grid;
    smallest = Math.min(smallest, difference);
  }
  return best;
}

/** All grids of so many slices, by their rows. */
const gridsWith = (count: number): TileGrid[] =>
  Array.from({ length: count }, (_, i) => i + 1)
    .filter(rows => count % rows === 0)
    .map(rows => ({ rows, columns: count / rows }));
