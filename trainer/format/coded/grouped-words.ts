/**
 * Parts that GPTQ and AWQ name alike: `qweight` and `qzeros`, words, and `scales` [groups, rows]. Scales and zeros are stored by group, and
 * then by row.
 */
import type { TensorInfo } from '../tensor-source.ts';
import { type CodedForm, foundWeight } from './coded-form.ts';
import type { CodedWeight } from './coded-weight.ts';
import { groupSizeOf, type Parts, SCALE_TYPES, type Tensors } from './part-checks.ts';

const WEIGHT = /\.qweight$/;

/** The tensors of one weight. */
export interface GroupedWords {
  /** The name of the layer. */
  readonly base: string;
  readonly codes: TensorInfo;
  /** The sizes of the codes' tensor. */
  readonly size: readonly [number, number];
  readonly scale: TensorInfo;
  readonly zero: TensorInfo;
  readonly groups: number;
}

/** Finds all weights. @param describe gives undefined only after it added a problem to the parts */
export const wordForm = (
  tensors: Tensors,
  describe: (parts: Parts, words: GroupedWords) => CodedWeight | undefined,
): ReturnType<CodedForm> => ({
  layers: [...tensors.values()]
    .filter(({ name }) => WEIGHT.test(name))
    .map(info =>
      foundWeight(tensors, parts => {
        const words = wordsOf(parts, info);
        return words && describe(parts, words);
      }),
    ),
  others: [],
});

function wordsOf(parts: Parts, codes: TensorInfo): GroupedWords | undefined {
  const base = codes.name.replace(WEIGHT, '');
  const size = parts.matrix(codes);
  const scale = parts.needed(`${base}.scales`, SCALE_TYPES);
  const zero = parts.needed(`${base}.qzeros`, ['I32']);
  if (codes.dtype !== 'I32') return parts.wrong(codes.name, `is ${codes.dtype}, not I32`);
  return size && scale && zero && { base, codes, size, scale, zero, groups: scale.shape[0] ?? 0 };
}

/** Returns the size of groups of neighboring columns; undefined after a problem. @param configured the size in the config */
export function sizeOfGroups(parts: Parts, { scale, groups }: GroupedWords, width: number, configured: number): number | undefined {
  const size = groups > 0 ? groupSizeOf(width, groups, [configured]) : undefined;
  return size ?? parts.wrong(scale.name, `has ${groups} groups, which do not fit ${width} columns`);
}

/** Transposes [groups, rows]. */
export function transposed(values: Float32Array, groups: number, rows: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < rows; row++) out[row * groups + group] = values[group * rows + row] as number;
  }
  return out;
}
