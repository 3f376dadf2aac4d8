/** Columns of matrices. */
import { elementCount } from '../../graph/types.ts';
import { atLeast } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './hlo-type.ts';

interface Columns {
  /** [rows, width] */
  readonly matrix: Value;
  /** int32 [c], without duplicates */
  readonly columns: Value;
  /** [rows, c], of the matrix's type */
  readonly values: Value;
}

/**
 * Returns the matrix with new values in these columns, as a scatter of single elements: for a scatter along any axis but the first, XLA
 * would transpose the whole matrix.
 */
export function withColumns(emitter: Emitter, { matrix, columns, values }: Columns): Value {
  const [rows, width] = atLeast(matrix.shape, 2);
  const starts = emitter.zip('multiply', emitter.iota([rows, 1], 0, columns.type), emitter.fill(width, columns.type));
  const places = emitter.zip('add', starts, emitter.reshape(columns, [1, ...columns.shape]));
  const flat = (x: Value): Value => emitter.reshape(x, [elementCount(x.shape)]);
  const replaced = emitter.scatter(flat(matrix), flat(places), flat(values), { combine: 'replace', unique: true });
  return emitter.reshape(replaced, matrix.shape);
}
