/**
 * The forms in which tensors cross to and from the addon: it accepts float32, int32, uint8 and bool, and returns float32, int32 and bool.
 */
import { bytesPerElement, type DType, elementCount, type HostArray, type Shape, type TensorSpec } from '../../graph/types.ts';
import type { Emitter } from './emitter.ts';
import { scalarOf } from './kernels/scalar.ts';
import { attr } from './node-def.ts';

interface HostForm {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Returns the form in which a tensor is fed: bfloat16 and int8 are fed as bytes. */
export function fedForm({ shape, dtype }: TensorSpec): HostForm {
  if (dtype === 'bfloat16') return { shape: [...shape, 2], dtype: 'uint8' };
  return { shape, dtype: dtype === 'int8' ? 'uint8' : dtype };
}

export const fedData = (data: HostArray, dtype: DType): HostArray =>
  dtype === 'bfloat16' || dtype === 'int8' ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data;

/** Emits a placeholder, and the tensor that is computed from it. */
export function emitFeed(emitter: Emitter, spec: TensorSpec, shape?: 'any shape'): { placeholder: string; value: string } {
  const form = fedForm(spec);
  const dtype = attr.type(form.dtype);
  const placeholder = emitter.source('Placeholder', shape === undefined ? { dtype, shape: attr.shape(form.shape) } : { dtype });
  if (form.dtype === spec.dtype) return { placeholder, value: placeholder };
  return { placeholder, value: emitter.emit('Bitcast', [placeholder], { T: attr.type(form.dtype), type: attr.type(spec.dtype) }) };
}

/** Emits the tensor in a form that the addon can return: bfloat16, uint8 and int8 are packed into int32, four bytes each, with padding. */
export function emitFetch(emitter: Emitter, value: string, { shape, dtype }: TensorSpec): string {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return value;
  const perInt = 4 / bytesPerElement(dtype);
  const count = elementCount(shape);
  const padding = (perInt - (count % perInt)) % perInt;
  const T = attr.type(dtype);
  let flat = emitter.emit('Reshape', [value, emitter.ints([count])], { T, Tshape: attr.type('int32') });
  if (padding > 0) {
    const extra = [emitter.constant(Int32Array.of(0, padding), [1, 2], 'int32'), emitter.constant(scalarOf(0, dtype), [], dtype)];
    flat = emitter.emit('PadV2', [flat, ...extra], { T, Tpaddings: attr.type('int32') });
  }
  const rows = emitter.emit('Reshape', [flat, emitter.ints([(count + padding) / perInt, perInt])], { T, Tshape: attr.type('int32') });
  return emitter.emit('Bitcast', [rows], { T, type: attr.type('int32') });
}

/** Converts the result of `emitFetch` back. */
export function fetchedData(data: HostArray, { shape, dtype }: TensorSpec): HostArray {
  const count = elementCount(shape);
  if (dtype === 'bfloat16') return new Uint16Array(data.buffer, data.byteOffset, count);
  if (dtype === 'uint8') return new Uint8Array(data.buffer, data.byteOffset, count);
  if (dtype === 'int8') return new Int8Array(data.buffer, data.byteOffset, count);
  return data;
}
