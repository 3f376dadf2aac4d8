/** Pages of a table that grows at its end. Pure. */

/** The first row of the page; undefined follows the newest rows. */
export type FirstRow = number | undefined;

export interface Page {
  readonly from: number;
  /** End of the range, exclusive. */
  readonly to: number;
}

export function pageAt(first: FirstRow, length: number, size: number): Page {
  const from = first ?? Math.max(0, length - size);
  return { from, to: Math.min(length, from + size) };
}

/** Returns the first row after turning by a number of rows; a page that reaches the end follows the newest rows again. */
export function turned(first: FirstRow, length: number, size: number, by: number): FirstRow {
  const at = Math.max(0, (first ?? Math.max(0, length - size)) + by);
  return at + size >= length ? undefined : at;
}
