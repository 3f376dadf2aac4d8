/** The element types, shapes and errors of the tensor graph. */

export type DType = 'float32' | 'bfloat16' | 'int32' | 'uint8' | 'int8' | 'bool';

export type Shape = readonly number[];

/** The facts about a tensor that are known before anything runs. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

export type HostArray = Float32Array | Int32Array | Uint8Array | Int8Array | Uint16Array;

/** Converts float32 to bfloat16 bits, rounded to nearest, ties to even; NaN stays NaN. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) bits[i] = wordOfBfloat16(words[i] as number) >>> 16;
  return bits;
}

/** Rounds a float32, given and returned as its 32 bits: nearest, ties to even; NaN stays NaN. */
export const wordOfBfloat16 = (word: number): number =>
  (word & 0x7fffffff) > 0x7f800000 ? (word & 0xffff0000) | 0x400000 : (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;

/** Converts bfloat16 bits to float32. */
export function fromBfloat16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/** Returns the values, which must be float32. @throws GraphError if they have another type */
export function float32Of(data: HostArray | 'zeros'): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new GraphError(`expected a Float32Array, got a ${data === 'zeros' ? 'variable of zeros' : data.constructor.name}`);
}

const BYTES: Record<DType, number> = { float32: 4, bfloat16: 2, int32: 4, uint8: 1, int8: 1, bool: 1 };

export const bytesPerElement = (dtype: DType): number => BYTES[dtype];

export const elementCount = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

export const byteSize = (spec: TensorSpec): number => elementCount(spec.shape) * BYTES[spec.dtype];

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

export const showSpec = (spec: TensorSpec): string => `${spec.dtype}[${spec.shape.join(', ')}]`;

/** Thrown for a graph that cannot be built: a bug in the code that builds it, or a model that does not fit its inputs. */
export class GraphError extends Error {
  override name = 'GraphError';
}

/**
 * Returns the broadcast shape of `a` and `b` (NumPy's rule: align at the right, a size of 1 stretches).
 * @throws GraphError if two sizes differ and neither is 1
 */
export function broadcastShapes(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new GraphError(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** Resolves an axis; a negative axis counts from the end. */
export function resolveAxis(axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (resolved < 0 || resolved >= rank) throw new GraphError(`axis ${axis} is outside a tensor of rank ${rank}`);
  return resolved;
}

interface Tuples {
  readonly 1: readonly [number];
  readonly 2: readonly [number, number];
  readonly 3: readonly [number, number, number];
  readonly 4: readonly [number, number, number, number];
}

/** Returns a shape, typed as one with this many dimensions. @throws GraphError if it has a different number */
export function dimensions<Rank extends keyof Tuples>(shape: Shape, rank: Rank): Tuples[Rank];
export function dimensions(shape: Shape, rank: number): Shape {
  if (shape.length !== rank) throw new GraphError(`[${shape}] does not have ${rank} dimensions`);
  return shape;
}
