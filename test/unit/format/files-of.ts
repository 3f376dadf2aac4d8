/** Weight files in memory, for tests of what is read through them. */
import type { TensorDType } from '../../../trainer/format/tensor-source.ts';
import type { WeightFiles } from '../../../trainer/format/weight-files.ts';
import { required } from '../../../trainer/narrow.ts';

export type StoredTensor = readonly [dtype: TensorDType, shape: readonly number[], data: Float32Array | Uint8Array];

/** Weight files in memory. */
export function filesOf(all: Readonly<Record<string, StoredTensor>>): WeightFiles {
  const read = (name: string) => required(all[name], name)[2];
  const isNotRead = async (): Promise<never> => {
    throw new Error('these files are never compared');
  };
  return {
    tensors: new Map(
      Object.entries(all).map(([name, [dtype, shape, data]]) => [name, { name, dtype, shape, byteLength: data.byteLength }]),
    ),
    readFloat32: async (name: string) => Float32Array.from(read(name)),
    readPart: async (name: string, begin: number, count: number) => Float32Array.from(read(name).slice(begin, begin + count)),
    readBytes: async (name: string, begin: number, count: number) => Uint8Array.from(read(name).slice(begin, begin + count)),
    readRaw: async (name: string) => new Uint8Array(read(name).buffer.slice(0)),
    readBfloat16: async () => undefined,
    fingerprint: async () => '',
    close: async () => undefined,
    shards: new Map(),
    metadata: {},
    checksum: undefined,
    verify: isNotRead,
    haveSameNumbers: isNotRead,
  };
}
