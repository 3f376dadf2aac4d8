/**
 * Converts between host arrays and tfjs tensors. tfjs supports float32, int32 and bool: uint8 and int8 are stored as int32, and bfloat16 as
 * float32 whose low 16 bits are zero (every cast to bfloat16 rounds; results of bfloat16 operations are rounded too, as on an engine that
 * stores bfloat16).
 */
import { type DataType, getBackend, type Tensor, tensor } from '@tensorflow/tfjs-core';
import { type DType, elementCount, float32Of, fromBfloat16, type HostArray, type TensorSpec, toBfloat16 } from '../../graph/types.ts';
import { EngineError } from '../engine.ts';
import { HOST_ARRAY } from '../host-array.ts';

const STORED: Record<DType, DataType & ('float32' | 'int32' | 'bool')> = {
  float32: 'float32',
  bfloat16: 'float32',
  int32: 'int32',
  uint8: 'int32',
  int8: 'int32',
  bool: 'bool',
};

export const storedType = (dtype: DType): 'float32' | 'int32' | 'bool' => STORED[dtype];

/**
 * Copies a host array to the backend.
 * @throws EngineError if the array's element type or number of elements does not match `spec`; `what` names it
 */
export function upload(data: HostArray | undefined, spec: TensorSpec, what: string): Tensor {
  checkHostArray(data, spec, what);
  return tensor(toStored(data, spec.dtype), [...spec.shape], STORED[spec.dtype]);
}

/** Checks an array. @throws EngineError if it does not fit `spec` */
export function checkHostArray(data: HostArray | undefined, spec: TensorSpec, what: string): asserts data is HostArray {
  const expected = HOST_ARRAY[spec.dtype];
  const wanted = `${what} needs ${elementCount(spec.shape)} elements in a ${expected.name} (${spec.dtype}[${spec.shape.join(', ')}])`;
  if (!data) throw new EngineError(`${wanted}; nothing was given`);
  if (!(data instanceof expected)) throw new EngineError(`${wanted}; a ${data.constructor.name} was given`);
  if (data.length !== elementCount(spec.shape)) throw new EngineError(`${wanted}; ${data.length} were given`);
}

/** Returns a whole tensor as a new host array of `dtype`. */
export async function download(value: Tensor, dtype: DType): Promise<HostArray> {
  const data = await value.data();
  if (dtype === 'bfloat16') return toBfloat16(float32Of(data));
  const host = new HOST_ARRAY[dtype](data.length);
  host.set(data);
  return host;
}

/**
 * Returns the stored form. A copy, except for wasm, which copies the values at once: other backends keep the array, and the caller may
 * write to it again.
 */
function toStored(data: HostArray, dtype: DType): Float32Array | Int32Array | Uint8Array {
  if (data instanceof Uint16Array) return fromBfloat16(data);
  if (data instanceof Int8Array || dtype === 'uint8') return Int32Array.from(data);
  return getBackend() === 'wasm' ? data : data.slice();
}
