/** Tensors that a file stores as codes and that are decoded while they are read. */
import { bf16ToFloat32, encodeFloat32, f16ToFloat32, float32ToBf16, float32ToF16 } from './float-format.ts';
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

/** Rounds decoded values, in place, to the type of a plain tensor. */
export function rounded(values: Float32Array, dtype: PlainInfo['dtype']): Float32Array {
  if (dtype === 'BF16') bf16ToFloat32(float32ToBf16(values), values);
  if (dtype === 'F16') f16ToFloat32(float32ToF16(values), values);
  return values;
}

/** Returns a function that computes a result once, and again after the garbage collector removed it. */
export function weakly<Result extends object>(compute: () => Promise<Result>): () => Promise<Result> {
  let known: WeakRef<Result> | undefined;
  return async () => {
    const found = known?.deref() ?? (await compute());
    known = new WeakRef(found);
    return found;
  };
}

/**
 * Returns the same files with decoded tensors in place of those with the same names.
 * @param hidden names of tensors that belong to the codes, and are no longer listed
 * @param renamed names of decoded tensors by those of their codes, where they differ
 */
export function withDecoded(
  files: WeightFiles,
  decoded: ReadonlyMap<string, DecodedTensor>,
  hidden: ReadonlySet<string>,
  renamed: ReadonlyMap<string, string> = new Map(),
): WeightFiles {
  if (decoded.size === 0 && hidden.size === 0) return files;
  const plainName = (name: string): string => renamed.get(name) ?? name;
  const whole = ({ info, read }: DecodedTensor): Promise<Float32Array> =>
    read(
      0,
      info.shape.reduce((n, d) => n * d, 1),
    );
  return {
    ...files,
    tensors: new Map(
      [...files.tensors]
        .filter(([name]) => !hidden.has(name))
        .map(([name, info]) => [plainName(name), decoded.get(plainName(name))?.info ?? info]),
    ),
    shards: new Map([...files.shards].map(([file, names]) => [file, names.map(plainName)])),
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
