/** The rank that the product of two factors can have at most beside a weight. */

/** Of a weight as a matrix: its rows by all that each of them holds. */
export const mostRank = ([rows = 0, ...rest]: readonly number[]): number =>
  Math.min(
    rows,
    rest.reduce((n, d) => n * d, 1),
  );
