/** The maximum rank of a low-rank product for a weight. */

/** The maximum rank of a weight as a matrix: rows × size of a row. */
export const mostRank = ([rows = 0, ...rest]: readonly number[]): number =>
  Math.min(
    rows,
    rest.reduce((n, d) => n * d, 1),
  );
