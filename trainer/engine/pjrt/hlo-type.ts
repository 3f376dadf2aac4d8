/** The element types and tensor types of StableHLO, and the syntax of its constants. */
import { type DType, elementCount, type HostArray, type Shape } from '../../graph/types.ts';

/** The graph's element types, and those needed as intermediates for random values and 16-bit sums. */
export type HloType = 'f32' | 'bf16' | 'i32' | 'ui8' | 'i8' | 'i1' | 'ui32' | 'ui64';

const TYPES: Readonly<Record<DType, HloType>> = { float32: 'f32', bfloat16: 'bf16', int32: 'i32', uint8: 'ui8', int8: 'i8', bool: 'i1' };

export const hloType = (dtype: DType): HloType => TYPES[dtype];

/** A value of the module: its name, such as `%12`, and its type. */
export interface Value {
  readonly name: string;
  readonly shape: Shape;
  readonly type: HloType;
}

export const tensorType = ({ shape, type }: Pick<Value, 'shape' | 'type'>): string => `tensor<${[...shape, type].join('x')}>`;

export const isFloating = (type: HloType): boolean => type === 'f32' || type === 'bf16';

/** Returns the lowest value of a type: the initial value of a maximum. */
export function lowest(type: HloType): string {
  switch (type) {
    case 'f32':
      return '0xFF800000';
    case 'bf16':
      return '0xFF80';
    case 'i32':
      return '-2147483648';
    case 'i8':
      return '-128';
    case 'i1':
      return 'false';
    case 'ui8':
    case 'ui32':
    case 'ui64':
      return '0';
  }
}

/** Formats one value exactly: floating-point values as their bits. */
export function numberText(value: number, type: HloType): string {
  if (type === 'i1') return value === 0 ? 'false' : 'true';
  if (!isFloating(type)) return String(value);
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] as number;
  return type === 'f32' ? `0x${hex(bits, 8)}` : `0x${hex(bits >>> 16, 4)}`;
}

/** Formats all values of a constant of any shape as bytes; bools one by one, because MLIR packs them. */
export function valuesText(values: HostArray, shape: Shape, type: HloType): string {
  if (elementCount(shape) === 0) return '';
  if (type === 'i1')
    return nested(
      Array.from(values, value => numberText(value, type)),
      shape,
    );
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return `"0x${Buffer.from(bytes).toString('hex').toUpperCase()}"`;
}

const hex = (bits: number, digits: number): string => bits.toString(16).toUpperCase().padStart(digits, '0');

function nested(values: readonly string[], [size, ...rest]: Shape): string {
  if (size === undefined) return values[0] ?? '';
  const width = values.length / size;
  return `[${Array.from({ length: size }, (_, i) => nested(values.slice(i * width, (i + 1) * width), rest)).join(', ')}]`;
}
