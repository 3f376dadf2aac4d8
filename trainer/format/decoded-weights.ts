/** Tensors that a file stores as codes and that are decoded while they are read. */
import { encodeFloat32, float32ToBf16 } from './float-format.ts';
import type { TensorInfo } from './tensor-source.ts';
import type { WeightFiles } from './weight-files.ts';

export type PlainInfo = TensorInfo & { readonly dtype: 'F32' | 'BF16' | 'F16' };

/** A tensor of floating-point values in place of its codes. */
export interface DecodedTensor {
  /** Its description as a plain tensor: F32, or the narrower type that holds all its values. */
  readonly info: PlainInfo;
  /** Reads `count` values starting at `begin`, in flat order. */
  readonly read: (begin: number, count: number) => Promise<Float32Array>;
}

/**
 * Returns the same files with decoded tensors in place of those with the same names.
 * @param hidden names of tensors that belong to the codes, and are no longer listed
 */
export function withDecoded(files: WeightFiles, decoded: ReadonlyMap<string, DecodedTensor>, hidden: ReadonlySet<string>): WeightFiles {
  if (decoded.size === 0) return files;
  const whole = ({ info, read }: DecodedTensor): Promise<Float32Array> =>
    read(
      0,
      info.shape.reduce((n, d) => n * d, 1),
    );
  return {
    ...files,
    tensors: new Map(
      [...files.tensors].filter(([name]) => !hidden.has(name)).map(([name, info]) => [name, decoded.get(name)?.info ?? info]),
    ),
    readFloat32: async (name, memory) => {
      const found = decoded.get(name);
      return found ? whole(found) : files.readFloat32(name, memory);
    },
    readBfloat16: async (name, memory) => {
      const found = decoded.get(name);
      if (!found) return files.readBfloat16(name, memory);
      return found.info.dtype === 'BF16' ? float32ToBf16(await whole(found)) : undefined;
    },
    readPart: async (name, begin, count) => {
      const found = decoded.get(name);
      return found ? found.read(begin, count) : files.readPart(name, begin, count);
    },
    readRaw: async name => {
      const found = decoded.get(name);
      return found ? encodeFloat32(await whole(found), found.info.dtype) : files.readRaw(name);
    },
    haveSameNumbers: async (first, second) => {
      if (!decoded.has(first) && !decoded.has(second)) return files.haveSameNumbers(first, second);
      return first === second;
    },
  };
}
