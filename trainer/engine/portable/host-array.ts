/**
 * Between host arrays and tfjs tensors. tfjs knows float32, int32 and bool: uint8 and int8 live as int32, bfloat16 lives as float32 whose
 * low 16 bits are zero (every cast to bfloat16 rounds; results of bfloat16 operations are rounded too, as an engine that stores them would).
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
 * @throws EngineError when the array has another element type or another number of elements than `spec`; `what` names it
 */
export function upload(data: HostArray | undefined, spec: TensorSpec, what: string): Tensor {
  checkHostArray(data, spec, what);
  return tensor(toStored(data, spec.dtype), [...spec.shape], STORED[spec.dtype]);
}

/** @throws EngineError when the array does not fit `spec` */
export function checkHostArray(data: HostArray | undefined, spec: TensorSpec, what: string): asserts data is HostArray {
  const expected = HOST_ARRAY[spec.dtype];
  const wanted = `${what} needs ${elementCount(spec.shape)} elements in a ${expected.name} (${spec.dtype}[${spec.shape.join(', ')}])`;
  if (!data) throw new EngineError(`${wanted}; nothing was given`);
  if (!(data instanceof expected)) throw new EngineError(`${wanted}; a ${data.constructor.name} was given`);
  if (data.length !== elementCount(spec.shape)) throw new EngineError(`${wanted}; ${data.length} were given`);
}

/** The whole of a tensor as the host array of `dtype`, an array of its own. */
export async function download(value: Tensor, dtype: DType): Promise<HostArray> {
  const data = await value.data();
  if (dtype === 'bfloat16') return toBfloat16(float32Of(data));
  const host = new HOST_ARRAY[dtype](data.length);
  host.set(data);
  return host;
}

/** A copy but for wasm, which takes the numbers over at once: other backends keep the array, and the caller may write to it again. */
function toStored(data: HostArray, dtype: DType): Float32Array | Int32Array | Uint8Array {
  if (data instanceof Uint16Array) return fromBfloat16(data);
  if (data instanceof Int8Array || dtype === 'uint8') return Int32Array.from(data);
  return getBackend() === 'wasm' ? data : data.slice();
}
