/** The grid of square tiles whose ratio of sides is the nearest to that of an image, as InternVL (Chen et al. 2024) and LFM2-VL choose it. */

import type { ImageSize, ImageView } from './vision-encoder.ts';

export interface TileGrid {
  readonly rows: number;
  readonly columns: number;
}

/** The least and greatest number of tiles. */
export interface TileCounts {
  readonly least: number;
  readonly most: number;
}

/** @param tile side of a tile in pixels */
export function nearestGrid({ width, height }: ImageSize, tile: number, counts: TileCounts): TileGrid {
  let best: TileGrid = { rows: 1, columns: 1 };
  let smallest = Number.POSITIVE_INFINITY;
  for (const grid of gridsOf(counts)) {
    const difference = Math.abs(width / height - grid.columns / grid.rows);
    // Of two that are as near, the larger one is taken if the image has more than half of its pixels.
    if (difference < smallest || (difference === smallest && width * height > 0.5 * tile ** 2 * grid.rows * grid.columns)) best = grid;
    smallest = Math.min(smallest, difference);
  }
  return best;
}

/** All grids of so many tiles, by their number and then by their columns. */
function gridsOf({ least, most }: TileCounts): TileGrid[] {
  return Array.from({ length: Math.max(0, most - least + 1) }, (_, i) => least + i).flatMap(count =>
    Array.from({ length: count }, (_, i) => i + 1)
      .filter(columns => count % columns === 0)
      .map(columns => ({ columns, rows: count / columns })),
  );
}

/** The tiles of an image, row by row. @param vectors number of vectors of each */
export function tilesOf({ rows, columns }: TileGrid, tile: number, vectors: number): ImageView[] {
  const resizes = [{ width: columns * tile, height: rows * tile }];
  return Array.from({ length: rows * columns }, (_, i) => ({
    resizes,
    part: { left: (i % columns) * tile, top: Math.floor(i / columns) * tile, width: tile, height: tile },
    vectors,
  }));
}
