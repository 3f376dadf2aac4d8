/** The group of each column of a coded weight, as files of activation-ordered quantization store it. */
import { ModelFileError } from '../model-file-error.ts';
import type { TensorInfo } from '../tensor-source.ts';
import type { WeightFiles } from '../weight-files.ts';

/**
 * Reads groups; undefined if one of them is −1, or all are 0 although there are several, which stands for groups in order.
 * @throws ModelFileError for a group that has no scale
 */
export async function readGroups(files: WeightFiles, order: TensorInfo, groups: number, path: string): Promise<Int32Array | undefined> {
  const { name, dtype, shape } = order;
  const [count = 0] = shape;
  const found = readIntegers(await files.readRaw(name), dtype, count);
  if (found.includes(-1) || (groups > 1 && found.every(group => group === 0))) return undefined;
  for (const group of found) {
    if (group < 0 || group >= groups)
      throw new ModelFileError(
        path,
        [{ tensor: name, message: `has the group ${group}, but there are ${groups} scales in a row` }],
        'Download the file again.',
      );
  }
  return found;
}

/** Converts integers of 32 or 64 bits; those that 32 bits do not hold become the smallest one. */
export function readIntegers(bytes: Uint8Array, dtype: TensorInfo['dtype'], count: number): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'I32') return Int32Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true));
  return Int32Array.from({ length: count }, (_, i) => {
    const value = view.getBigInt64(8 * i, true);
    return value === BigInt.asIntN(31, value) ? Number(value) : -(2 ** 31);
  });
}
