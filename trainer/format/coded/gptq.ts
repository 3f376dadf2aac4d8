/**
 * Weights of GPTQ: `qweight`, words [⌈columns × bits / 32⌉, rows]; `qzeros`, words [groups, ⌈rows × bits / 32⌉]; `scales` [groups, rows]
 * and `g_idx`, the group of each column. The first version of the format stores each zero minus one.
 */
import type { TensorInfo } from '../tensor-source.ts';
import type { WeightFiles } from '../weight-files.ts';
import type { CodedForm, Found } from './coded-form.ts';
import { type CodedWeight, evenGroups, type Grids, unpackGrid, unsignedLevels } from './coded-weight.ts';
import { readGroups } from './column-groups.ts';
import { groupSizeOf, Parts, type Tensors } from './part-checks.ts';
import { SCALE_TYPES, transposed } from './transposed.ts';

const BITS: readonly unknown[] = [2, 4, 8];

interface Settings {
  readonly bits: number;
  readonly groupSize: number;
  readonly isSecond: boolean;
}

export const gptq: CodedForm = (tensors, how) => {
  const settings: Settings = {
    bits: Number(how.bits),
    groupSize: Number(how.group_size),
    isSecond: (how.checkpoint_format ?? how.format) === 'gptq_v2',
  };
  return { layers: [...tensors.values()].flatMap(info => findWeight(tensors, info, settings)), others: [] };
};

function findWeight(tensors: Tensors, info: TensorInfo, settings: Settings): Found[] {
  if (!info.name.endsWith('.qweight')) return [];
  const parts = new Parts(tensors);
  const weight = describe(parts, info, settings);
  return [{ weight: parts.problems.length === 0 ? weight : undefined, problems: parts.problems }];
}

function describe(parts: Parts, info: TensorInfo, settings: Settings): CodedWeight | undefined {
  const base = info.name.replace(/\.qweight$/, '');
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}.scales`, SCALE_TYPES);
  const zero = parts.needed(`${base}.qzeros`, ['I32']);
  const order = parts.optional(`${base}.g_idx`, ['I32', 'I64']);
  if (info.dtype !== 'I32') return parts.wrong(info.name, `is ${info.dtype}, not I32`);
  if (!size || !scale || !zero) return undefined;
  const [words, rows] = size;
  const [groups = 0] = scale.shape;
  // A config may have other bits for some layers: the number of columns gives them.
  const width = order?.shape[0] ?? (words * 32) / settings.bits;
  const bits = (words * 32) / width;
  if (!BITS.includes(bits)) return parts.wrong(info.name, `is [${words}, ${rows}], which is not ${width} columns in 2, 4 or 8 bits`);
  if ((rows * bits) % 32 !== 0) return parts.wrong(info.name, `has ${rows} rows, whose zeros do not fill words`);
  const fits = [parts.fits(scale, groups, rows), parts.fits(zero, groups, (rows * bits) / 32), !order || parts.fits(order, width)];
  const groupSize = groups > 0 ? groupSizeOf(width, groups, [settings.groupSize]) : undefined;
  if (fits.includes(false)) return undefined;
  if (groupSize === undefined) return parts.wrong(scale.name, `has ${groups} groups, which do not fit ${width} columns`);
  const levels = unsignedLevels(bits);
  const readGrids = async (files: WeightFiles, path: string): Promise<Grids> => {
    const across = (rows * bits) / 32;
    const place = (group: number, row: number): number => 32 * group * across + row * bits;
    const stored = await files.readRaw(zero.name);
    return {
      scales: transposed(await files.readFloat32(scale.name), groups, rows),
      zeros: transposed(unpackGrid(settings.isSecond ? stored : plusOne(stored, bits), [groups, rows], levels, place), groups, rows),
      groupOf: (order && (await readGroups(files, order, groups, path))) ?? evenGroups(width, groupSize),
    };
  };
  return {
    ...{ codes: info, parts: parts.names, bits, rowsPerScale: 1, groups, readGrids },
    info: {
      ...{ name: `${base}.weight`, shape: [rows, width], byteLength: info.byteLength, quantization: `gptq${bits}` },
      dtype: scale.dtype === 'BF16' || scale.dtype === 'F16' ? scale.dtype : 'F32',
    },
    layout: { kind: 'columns' },
    levels,
  };
}

/** Adds one to every code of words. A sum that is too large carries, as GPTQModel computes it: it takes the ones away from words, too. */
function plusOne(bytes: Uint8Array, bits: number): Uint8Array {
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  const ones = Array.from({ length: 32 / bits }, (_, i) => 2 ** (i * bits)).reduce((sum, one) => sum + one, 0);
  for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) + ones;
  return new Uint8Array(words.buffer);
}
