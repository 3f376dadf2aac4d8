/** The feeds of one image for towers over the patches of an image of any size. */

import type { HostArray } from '../../../graph/types.ts';
import type { ViewPixels } from '../vision-encoder.ts';

interface PatchPlace {
  readonly row: number;
  readonly column: number;
}

/**
 * The places of an image's patches: those of each vector follow each other, row by row within it. Patches of rows and columns that form no
 * whole square come last.
 * @param merged the side of the square of patches that become a vector
 */
export function placesOf(rows: number, columns: number, merged: number): PatchPlace[] {
  const [down, across] = [Math.floor(rows / merged), Math.floor(columns / merged)];
  const inSquares = Array.from({ length: down * across * merged ** 2 }, (_, at): PatchPlace => {
    const [square, within] = [Math.floor(at / merged ** 2), at % merged ** 2];
    return {
      row: Math.floor(square / across) * merged + Math.floor(within / merged),
      column: (square % across) * merged + (within % merged),
    };
  });
  if (inSquares.length === rows * columns) return inSquares;
  const all = Array.from({ length: rows * columns }, (_, at): PatchPlace => ({ row: Math.floor(at / columns), column: at % columns }));
  return [...inSquares, ...all.filter(({ row, column }) => row >= down * merged || column >= across * merged)];
}

export interface PatchParams {
  readonly pixels: ViewPixels;
  /** Side of a patch in pixels. */
  readonly patch: number;
  readonly row: number;
  readonly column: number;
}

/** Writes the values of one patch into `into` from index `start` on, by channel, row and column. */
export function copyPatch({ pixels, patch, row, column }: PatchParams, into: Float32Array, start: number): void {
  const plane = patch * patch;
  for (let y = 0; y < patch; y++)
    for (let x = 0; x < patch; x++) {
      const pixel = 3 * ((row * patch + y) * pixels.width + column * patch + x);
      for (let channel = 0; channel < 3; channel++)
        into[start + channel * plane + y * patch + x] = pixels.values[pixel + channel] as number;
    }
}

/** Sizes of the patches of a tower. */
export interface PatchSizes {
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** Side of the square of neighboring patches that become one vector. */
  readonly merged: number;
}

/**
 * The feeds of one image that towers of several makers read, padded to `count` patches:
 * - patches [count, 3 · patch²]: the values of each, by channel, row and column
 * - at int32 [2, count]: its row and column
 * - seen [1, count]: 1 for patches, 0 for padding
 */
export function patchFeeds({ patch, merged }: PatchSizes, pixels: ViewPixels, count: number) {
  const [rows, columns] = [pixels.height / patch, pixels.width / patch];
  const width = 3 * patch * patch;
  const patches = new Float32Array(count * width);
  const at = new Int32Array(2 * count);
  placesOf(rows, columns, merged).forEach(({ row, column }, i) => {
    copyPatch({ pixels, patch, row, column }, patches, i * width);
    at[i] = row;
    at[count + i] = column;
  });
  return { patches, at, seen: new Float32Array(count).fill(1, 0, rows * columns) };
}

/** Number of table rows that a position is interpolated from. */
export const TAPS = 4;

/** Places along a side of a table, with their shares. */
type Shares = readonly (readonly [place: number, share: number])[];

interface PositionParams extends PatchSizes {
  /** The side of the square that the rows of the table form. */
  readonly tableSide: number;
  /** Returns the places of the table for one of `length` places along a side of the image; always the same number of places. */
  readonly nearest: (at: number, length: number) => Shares;
}

/**
 * The feeds of one image, padded to `count` patches: those of `patchFeeds`, and cells int32 [taps, count], shares [taps, count]: rows of the
 * table of positions, and their weights.
 */
export function positionFeeds(params: PositionParams, pixels: ViewPixels, count: number): Record<string, HostArray> {
  const { patch, tableSide, nearest } = params;
  const feeds = patchFeeds(params, pixels, count);
  const [rows, columns] = [pixels.height / patch, pixels.width / patch];
  const along = (length: number): Shares[] => Array.from({ length }, (_, at) => nearest(at, length));
  const [down, across] = [along(rows), along(columns)];
  const each = across[0]?.length ?? 0;
  const cells = new Int32Array(each ** 2 * count);
  const shares = new Float32Array(each ** 2 * count);
  for (let i = 0; i < rows * columns; i++)
    down[feeds.at[i] as number]?.forEach(([y, ofRow], a) => {
      across[feeds.at[count + i] as number]?.forEach(([x, ofColumn], b) => {
        cells[(each * a + b) * count + i] = y * tableSide + x;
        shares[(each * a + b) * count + i] = ofRow * ofColumn;
      });
    });
  return { ...feeds, cells, shares };
}
