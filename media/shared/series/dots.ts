/** Decides whether the points of a curve are marked. Pure. */

/** The number of values from `first` to `last`; gaps are null. */
export function valuesIn(values: ArrayLike<number | null | undefined>, first = 0, last = values.length - 1): number {
  let count = 0;
  for (let i = first; i <= last; i++) if (typeof values[i] === 'number') count++;
  return count;
}

/** True if between two dots there is room for another one: otherwise, they would hide the line. */
export const dotsHaveRoom = (count: number, sizePx: number, widthPx: number): boolean => count <= 1 || (count - 1) * 2 * sizePx <= widthPx;
