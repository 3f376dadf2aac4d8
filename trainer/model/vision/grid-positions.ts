/** Positions in two dimensions: the time, row and column of each token of a text with images (Qwen2-VL, Wang et al. 2024). */

/** The rows and columns of an image's vectors. */
export interface VectorGrid {
  readonly rows: number;
  readonly columns: number;
}

export interface GridPositions {
  /** [3, tokens]: time, row and column of each token. */
  readonly positions: Int32Array;
  /**
   * The position of the first token after the text in all three directions. It differs from the number of tokens, since an image moves the
   * text after it by its longer side alone.
   */
  readonly next: number;
}

/**
 * The positions of a text's tokens. Tokens of text have the same position in all directions. All tokens of an image have the time at which it
 * begins, and its rows and columns count from there.
 * @param grids the images in their order; one that is cut off by the end of the text counts as a whole
 * @throws RangeError if the text has more image tokens than the grids
 */
export function gridPositions(ids: ArrayLike<number>, imageToken: number, grids: readonly VectorGrid[]): GridPositions {
  const tokens = ids.length;
  const positions = new Int32Array(3 * tokens);
  const set = (token: number, time: number, row: number, column: number): void => {
    positions[token] = time;
    positions[tokens + token] = row;
    positions[2 * tokens + token] = column;
  };
  let [next, image] = [0, 0];
  for (let token = 0; token < tokens; ) {
    if (ids[token] !== imageToken) {
      set(token++, next, next, next);
      next++;
      continue;
    }
    const grid = grids[image++];
    if (!grid) throw new RangeError(`token ${token} belongs to image ${image}, and only ${grids.length} are given`);
    const { rows, columns } = grid;
    for (let i = 0; i < rows * columns && token < tokens; i++) set(token++, next, next + Math.floor(i / columns), next + (i % columns));
    next += Math.max(rows, columns);
  }
  return { positions, next };
}
