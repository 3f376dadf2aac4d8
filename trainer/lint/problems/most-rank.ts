/** The maximum rank of a product of two factors for a weight. */

/** The rank of a weight as a matrix: its rows by the size of each row. */
export const mostRank = ([rows = 0, ...rest]: readonly number[]): number =>
  Math.min(
    rows,
    rest.reduce((n, d) => n * d, 1),
  );
