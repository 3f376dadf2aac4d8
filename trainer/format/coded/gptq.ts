/**
 * Weights of GPTQ: `qweight`, words [⌈columns × bits / 32⌉, rows]; `qzeros`, words [groups, ⌈rows × bits / 32⌉]; `scales` [groups, rows]
 * and `g_idx`, the group of each column. Codes of 3 bits cross words. The first version of the format stores each zero minus one.
 */
import type { WeightFiles } from '../weight-files.ts';
import type { CodedForm } from './coded-form.ts';
import { type CodedWeight, evenGroups, type Grids, plainType, unpackGrid, unsignedLevels } from './coded-weight.ts';
import { readGroups } from './column-groups.ts';
import { type GroupedWords, sizeOfGroups, transposed, wordForm } from './grouped-words.ts';
import type { Parts, Tensors } from './part-checks.ts';

const BITS: readonly unknown[] = [2, 3, 4, 8];

interface Settings {
  readonly bits: number;
  readonly groupSize: number;
  readonly isSecond: boolean;
}

export const gptq: CodedForm = (tensors, how) => gptqWords(tensors, () => how, (how.checkpoint_format ?? how.format) === 'gptq_v2');

/**
 * Finds the weights of files in the words of GPTQ.
 * @param settingsOf gives `bits` and `group_size` of a layer by its name
 * @param isSecond whether zeros are stored as they are
 */
export const gptqWords = (
  tensors: Tensors,
  settingsOf: (layer: string) => Readonly<Record<string, unknown>>,
  isSecond: boolean,
): ReturnType<CodedForm> =>
  wordForm(tensors, (parts, words) => {
    const { bits, group_size: groupSize } = settingsOf(words.base);
    return describe(parts, words, { bits: Number(bits), groupSize: Number(groupSize), isSecond });
  });

function describe(parts: Parts, found: GroupedWords, settings: Settings): CodedWeight | undefined {
  const { base, codes, size, scale, zero, groups } = found;
  const [words, rows] = size;
  const order = parts.optional(`${base}.g_idx`, ['I32', 'I64']);
  // A config may have other bits for some layers: the number of columns gives them.
  const width = order?.shape[0] ?? (words * 32) / settings.bits;
  const bits = (words * 32) / width;
  if (!BITS.includes(bits) || !Number.isInteger(width))
    return parts.wrong(codes.name, `is [${words}, ${rows}], which is not ${width} columns in 2, 3, 4 or 8 bits`);
  if ((rows * bits) % 32 !== 0) return parts.wrong(codes.name, `has ${rows} rows, whose zeros do not fill words`);
  const fits = [parts.fits(scale, groups, rows), parts.fits(zero, groups, (rows * bits) / 32), !order || parts.fits(order, width)];
  if (fits.includes(false)) return undefined;
  const groupSize = sizeOfGroups(parts, found, width, settings.groupSize);
  if (groupSize === undefined) return undefined;
  const levels = unsignedLevels(bits);
  const readGrids = async (files: WeightFiles, path: string): Promise<Grids> => {
    const across = (rows * bits) / 32;
    const place = (group: number, row: number): number => 32 * group * across + row * bits;
    const stored = await files.readRaw(zero.name);
    const zeros = settings.isSecond
      ? unpackGrid(stored, [groups, rows], levels, place)
      : bits === 3
        ? unpackGrid(stored, [groups, rows], nextLevels(levels), place)
        : unpackGrid(plusOne(stored, bits), [groups, rows], levels, place);
    return {
      scales: transposed(await files.readFloat32(scale.name), groups, rows),
      zeros: transposed(zeros, groups, rows),
      groupOf: (order && (await readGroups(files, order, groups, path))) ?? evenGroups(width, groupSize),
    };
  };
  return {
    ...{ codes, parts: parts.names, bits, rowsPerScale: 1, groups, readGrids },
    info: {
      ...{ name: `${base}.weight`, shape: [rows, width], dtype: plainType(scale) },
      ...{ byteLength: codes.byteLength, quantization: `gptq${bits}` },
    },
    layout: { kind: 'columns' },
    levels,
  };
}

/** The numbers of codes plus one, without a carry, as GPTQModel computes it for codes that cross words. */
const nextLevels = (levels: Float32Array): Float32Array => levels.map((_, code) => levels[(code + 1) % levels.length] as number);

/** Adds one to every code of words. A sum that is too large carries, as GPTQModel computes it: it takes the ones away from words, too. */
function plusOne(bytes: Uint8Array, bits: number): Uint8Array {
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  const ones = Array.from({ length: 32 / bits }, (_, i) => 2 ** (i * bits)).reduce((sum, one) => sum + one, 0);
  for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) + ones;
  return new Uint8Array(words.buffer);
}
