/**
 * An encoder as llama.cpp's file of it describes it (`mmproj-….gguf`). The names of keys and tensors are those that llama.cpp's library for
 * images reads (tools/mtmd/clip-impl.h).
 */
import { elementCount } from '../../../graph/types.ts';
import type { ParameterSpec } from '../../module-specs.ts';

export interface Mmproj {
  /** The value of `clip.projector_type`. */
  readonly projector: string;
  readonly sizes: MmprojSizes;
  /** Further keys, without `clip.`. Numbers are integers. */
  readonly settings: Readonly<Record<string, number | boolean | readonly boolean[]>>;
  readonly tensors: readonly MmprojTensor[];
}

/** The reason why llama.cpp would compute something else, so that no file is written. */
export interface NoMmproj {
  readonly reason: string;
}

export interface MmprojSizes {
  /** The side for which the table of positions is made, in pixels. */
  readonly imageSize: number;
  readonly patch: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly blocks: number;
  readonly heads: number;
  /** Features of a vector, which are those of the language model. */
  readonly outputSize: number;
  /** Epsilon of the norms. */
  readonly epsilon: number;
  /** The activation of MLPs, by its name in config.json. */
  readonly activation: string;
}

type TowerSizes = Omit<MmprojSizes, 'imageSize' | 'patch' | 'outputSize'>;

/** The sizes of a tower, without other settings of its config. */
export const mmprojSizes = ({ hiddenSize, intermediateSize, blocks, heads, epsilon, activation }: TowerSizes): TowerSizes => ({
  ...{ hiddenSize, intermediateSize, blocks, heads },
  ...{ epsilon, activation },
});

/** A tensor of the file. */
export interface MmprojTensor {
  /** llama.cpp's name. */
  readonly name: string;
  /** The parameter of the encoder that it comes from. */
  readonly parameter: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  /** Returns the values in the file; those of the parameter if left out. */
  readonly values?: (parameter: Float32Array) => Float32Array;
  /** Set on a matrix that llama.cpp reads in float32 only, whatever the type of the others. */
  readonly float32?: true;
}

/** The keys of activations; llama.cpp has an approximation of `gelu` alone. */
export const ACTIVATION_KEYS: Readonly<Record<string, string | undefined>> = {
  gelu: 'use_gelu',
  gelu_pytorch_tanh: 'use_gelu',
  gelu_new: 'use_gelu',
  gelu_fast: 'use_gelu',
  silu: 'use_silu',
  swish: 'use_silu',
  quick_gelu: undefined,
};

/** llama.cpp reads no file with a larger side of images. */
export const MOST_PIXELS = 8192;

/** llama.cpp divides bytes by 255 before it subtracts the mean. */
const RESCALE = 1 / 255;
const NEAR = 1e-6;

/**
 * The reason why llama.cpp cannot compute these settings, which all encoders have; undefined if it can.
 * @param scale.rescale multiplies the bytes of pixels
 */
export function commonReason(
  { rescale }: { readonly rescale: number },
  { activation }: Pick<MmprojSizes, 'activation'>,
): string | undefined {
  if (Math.abs(rescale - RESCALE) > NEAR) return `rescale_factor is ${rescale}, and llama.cpp has 1/255`;
  return Object.hasOwn(ACTIVATION_KEYS, activation) ? undefined : `llama.cpp has no activation ${activation} for encoders`;
}

/**
 * The reason why llama.cpp cannot compute these numbers, which its code fixes; undefined if they are the same.
 * @param numbers the value and llama.cpp's, by key of config.json
 */
export function fixedReason(numbers: Readonly<Record<string, readonly [value: number, only: number]>>): string | undefined {
  const other = Object.entries(numbers).find(([, [value, only]]) => value !== only);
  return other && `${other[0]} is ${other[1][0]}, and llama.cpp has ${other[1][1]}`;
}

/** Names of tensors by llama.cpp's names, without `.weight`, `.bias` and limits. `{}` stands for the number of a block. */
export type MmprojNames = Readonly<Record<string, string>>;

/**
 * Returns the tensors of parameters that the file stores unchanged, under other names.
 * @throws Error for a parameter without a name, so that none is lost
 */
export function renamed(parameters: readonly ParameterSpec[], names: MmprojNames): MmprojTensor[] {
  const byOwn = new Map(Object.entries(names).map(([theirs, own]) => [own, theirs]));
  return parameters.map(({ name, shape }) => {
    const [, stem = name, end = ''] = /^(.+?)(\.weight|\.bias|\.(?:in|out)put_m(?:in|ax))$/.exec(name) ?? [];
    const block = /\.(\d+)\./.exec(name)?.[1];
    const theirs = byOwn.get(name) ?? byOwn.get(stem) ?? byOwn.get(stem.replace(/\.\d+\./, '.{}.'));
    if (theirs === undefined) throw new Error(`${name} has no name in an mmproj file`);
    return { name: theirs.replace('{}', block ?? '') + (byOwn.has(name) ? '' : end), parameter: name, shape };
  });
}

/** The equal parts into which a parameter is divided along its rows, by llama.cpp's names. */
export function dividedRows({ name, shape: [rows = 1, ...rest] }: ParameterSpec, names: readonly string[]): MmprojTensor[] {
  const shape = [rows / names.length, ...rest];
  const size = elementCount(shape);
  return names.map((part, i) => ({ name: part, parameter: name, shape, values: values => values.slice(i * size, (i + 1) * size) }));
}

/** Weights of patches [hiddenSize, 3, frames, patch, patch] as one tensor for each frame. */
export function dividedFrames({ name, shape }: ParameterSpec, names: readonly string[]): MmprojTensor[] {
  const [hidden = 1, channels = 1, frames = 1, ...plane] = shape;
  const size = elementCount(plane);
  return names.map((frame, i) => ({
    name: frame,
    parameter: name,
    shape: [hidden, channels, ...plane],
    values: values => {
      const out = new Float32Array(hidden * channels * size);
      for (let at = 0; at < hidden * channels; at++)
        out.set(values.subarray((at * frames + i) * size, (at * frames + i + 1) * size), at * size);
      return out;
    },
  }));
}

/** Weights of patches [hiddenSize, patch² · 3], by row, column and channel, as [hiddenSize, 3, patch, patch]. */
export const byChannel = (tensor: MmprojTensor, patch: number): MmprojTensor => ({
  ...tensor,
  shape: [tensor.shape[0] ?? 0, 3, patch, patch],
  values: values => {
    const plane = patch * patch;
    return values.map((_, at) => {
      const [inRow, row] = [at % (3 * plane), Math.floor(at / (3 * plane))];
      return values[row * 3 * plane + (inRow % plane) * 3 + Math.floor(inRow / plane)] as number;
    });
  },
});
