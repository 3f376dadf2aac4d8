/** Tensors on their way to and from a device: their bytes, and the number that PJRT has for each element type. */
import { byteSize, type DType, elementCount, type HostArray, type TensorSpec } from '../../graph/types.ts';
import { EngineError } from '../engine.ts';
import type { Addon, BufferHandle, ClientHandle } from './addon.ts';

interface HostForm {
  /** PJRT_Buffer_Type. */
  readonly type: number;
  readonly array: { new (buffer: ArrayBuffer): HostArray; readonly name: string };
}

const FORMS: Readonly<Record<DType, HostForm>> = {
  float32: { type: 11, array: Float32Array },
  bfloat16: { type: 13, array: Uint16Array },
  int32: { type: 4, array: Int32Array },
  uint8: { type: 6, array: Uint8Array },
  int8: { type: 2, array: Int8Array },
  bool: { type: 1, array: Uint8Array },
};

/** @throws EngineError when the array does not fit `spec`; `where` names it */
export function checkData(data: HostArray | undefined, spec: TensorSpec, where: string): asserts data is HostArray {
  const expected = FORMS[spec.dtype].array.name;
  const count = elementCount(spec.shape);
  const needed = `${where} needs ${count} elements in a ${expected} (${spec.dtype} [${spec.shape.join(', ')}])`;
  if (data === undefined) throw new EngineError(`${needed}, but is missing`);
  if (data.constructor.name !== expected) throw new EngineError(`${needed}, not a ${data.constructor.name}`);
  if (data.length !== count) throw new EngineError(`${needed}, not ${data.length}`);
}

/** The array must not change until the promise settles. */
export function upload(addon: Addon, client: ClientHandle, data: HostArray | 'zeros', spec: TensorSpec): Promise<BufferHandle> {
  const bytes = data === 'zeros' ? new Uint8Array(0) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return addon.upload(client, bytes, FORMS[spec.dtype].type, spec.shape, byteSize(spec));
}

export async function download(addon: Addon, buffer: BufferHandle, spec: TensorSpec): Promise<HostArray> {
  const bytes = new Uint8Array(byteSize(spec));
  await addon.download(buffer, bytes);
  return new FORMS[spec.dtype].array(bytes.buffer);
}
