/** Converts tensors between host and device: their bytes, and the PJRT code of each element type. */
import { byteSize, type DType, elementCount, type HostArray, type TensorSpec } from '../../graph/types.ts';
import { EngineError } from '../engine.ts';
import { HOST_ARRAY } from '../host-array.ts';
import type { Addon, BufferHandle, ClientHandle } from './addon.ts';

/** PJRT_Buffer_Type. */
const BUFFER_TYPE: Readonly<Record<DType, number>> = { float32: 11, bfloat16: 13, int32: 4, uint8: 6, int8: 2, bool: 1 };

/** Checks an array. @throws EngineError if it does not fit `spec`; `where` names it */
export function checkData(data: HostArray | undefined, spec: TensorSpec, where: string): asserts data is HostArray {
  const expected = HOST_ARRAY[spec.dtype].name;
  const count = elementCount(spec.shape);
  const needed = `${where} needs ${count} elements in a ${expected} (${spec.dtype} [${spec.shape.join(', ')}])`;
  if (data === undefined) throw new EngineError(`${needed}, but is missing`);
  if (data.constructor.name !== expected) throw new EngineError(`${needed}, not a ${data.constructor.name}`);
  if (data.length !== count) throw new EngineError(`${needed}, not ${data.length}`);
}

/** The place of a buffer: a device of the client, and a kind of memory unless it is the device's own. */
export interface BufferPlace {
  readonly device: number;
  readonly kind?: string | undefined;
}

/** Uploads an array, which must not change until the promise settles. */
export function upload(
  addon: Addon,
  client: ClientHandle,
  data: HostArray | 'zeros',
  spec: TensorSpec,
  { device, kind = '' }: BufferPlace,
): Promise<BufferHandle> {
  const bytes = data === 'zeros' ? new Uint8Array(0) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return addon.upload(client, bytes, BUFFER_TYPE[spec.dtype], spec.shape, byteSize(spec), kind, device);
}

export async function download(addon: Addon, buffer: BufferHandle, spec: TensorSpec): Promise<HostArray> {
  const bytes = new Uint8Array(byteSize(spec));
  await addon.download(buffer, bytes);
  return new HOST_ARRAY[spec.dtype](bytes.buffer);
}
