/** Independent, obvious formulas in double precision: row-major nested loops and nothing clever. */
import type { Window2d } from '../../../trainer/graph/attributes.ts';
import type { Shape } from '../../../trainer/graph/types.ts';

/** Returns every index of a shape, in row-major order. */
export function indicesOf(shape: Shape): number[][] {
  return shape.reduce<number[][]>((all, size) => all.flatMap(index => Array.from({ length: size }, (_, i) => [...index, i])), [[]]);
}

export const flatIndex = (index: readonly number[], shape: Shape): number =>
  index.reduce((flat, i, axis) => flat * (shape[axis] as number) + i, 0);

export const at = (values: readonly number[], shape: Shape, index: readonly number[]): number => values[flatIndex(index, shape)] as number;

/** Returns the broadcast value at an index of the (wider) output. */
export function broadcastAt(values: readonly number[], shape: Shape, index: readonly number[]): number {
  const aligned = index.slice(index.length - shape.length);
  return at(
    values,
    shape,
    aligned.map((i, axis) => (shape[axis] === 1 ? 0 : i)),
  );
}

/** Computes f(a, b) with broadcasting to `out`. */
export const pointwise = (
  out: Shape,
  a: readonly number[],
  aShape: Shape,
  b: readonly number[],
  bShape: Shape,
  f: (a: number, b: number) => number,
) => indicesOf(out).map(index => f(broadcastAt(a, aShape, index), broadcastAt(b, bShape, index)));

/** Folds the elements that a reduction combines. */
export function reduceOver(values: readonly number[], shape: Shape, axes: readonly number[], fold: (parts: number[]) => number): number[] {
  const groups = new Map<string, number[]>();
  for (const index of indicesOf(shape)) {
    const key = index.filter((_, axis) => !axes.includes(axis)).join();
    groups.set(key, [...(groups.get(key) ?? []), at(values, shape, index)]);
  }
  return [...groups.values()].map(fold);
}

export const addUp = (parts: readonly number[]): number => parts.reduce((sum, x) => sum + x, 0);

/** Computes [m, k]·[k, n] by definition. */
export function multiply(a: readonly number[], b: readonly number[], m: number, k: number, n: number): number[] {
  return indicesOf([m, n]).map(([i = 0, j = 0]) =>
    addUp(Array.from({ length: k }, (_, l) => (a[i * k + l] as number) * (b[l * n + j] as number))),
  );
}

export const transpose2d = (a: readonly number[], rows: number, columns: number): number[] =>
  indicesOf([columns, rows]).map(([j = 0, i = 0]) => a[i * columns + j] as number);

/** Calls `visit` for every (output position, tap) whose input position is inside the image. */
export function slideWindow(
  [height, width]: readonly [number, number],
  [outHeight, outWidth]: readonly [number, number],
  [kh, kw]: readonly [number, number],
  { strides, padding, dilations }: Window2d,
  visit: (place: { y: number; x: number; i: number; j: number; row: number; column: number }) => void,
): void {
  for (const [y = 0, x = 0, i = 0, j = 0] of indicesOf([outHeight, outWidth, kh, kw])) {
    const row = y * strides[0] + i * dilations[0] - padding[0];
    const column = x * strides[1] + j * dilations[1] - padding[2];
    if (row >= 0 && row < height && column >= 0 && column < width) visit({ y, x, i, j, row, column });
  }
}

/** Calls `visit` with the flat indices (x, filter, y) of every product that a convolution sums. */
export function convolutionTerms(
  input: Shape,
  filter: Shape,
  output: Shape,
  window: Window2d & { readonly groups: number },
  visit: (x: number, filter: number, y: number) => void,
): void {
  const [batch = 0, height = 0, width = 0] = input;
  const [out = 0, perGroup = 0, kh = 0, kw = 0] = filter;
  const outPerGroup = out / window.groups;
  slideWindow([height, width], [output[1] as number, output[2] as number], [kh, kw], window, ({ y, x, i, j, row, column }) => {
    for (const [b = 0, o = 0, c = 0] of indicesOf([batch, out, perGroup])) {
      const channel = Math.floor(o / outPerGroup) * perGroup + c;
      visit(flatIndex([b, row, column, channel], input), flatIndex([o, c, i, j], filter), flatIndex([b, y, x, o], output));
    }
  });
}

/** Computes erf by its Taylor series where that converges fast, otherwise by the continued fraction of erfc; error below 1e-14. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; n < 120; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}
