/**
 * Weights of AWQ (version "gemm"): `qweight`, words [columns, rows / 8]; `qzeros`, words [groups, rows / 8]; `scales` [groups, rows]. The
 * codes of eight rows are in a word in an order of their own.
 */
import type { TensorInfo } from '../tensor-source.ts';
import type { CodedForm, Found } from './coded-form.ts';
import { awqPlace, type CodedWeight, evenGroups, unpackGrid, unsignedLevels } from './coded-weight.ts';
import { groupSizeOf, Parts, type Tensors } from './part-checks.ts';
import { SCALE_TYPES, transposed } from './transposed.ts';

const BITS = 4;
const IN_WORD = 8;

export const awq: CodedForm = (tensors, how) => {
  const groupSize = Number(how.group_size ?? how.q_group_size);
  return { layers: [...tensors.values()].flatMap(info => findWeight(tensors, info, groupSize)), others: [] };
};

function findWeight(tensors: Tensors, info: TensorInfo, groupSize: number): Found[] {
  if (!info.name.endsWith('.qweight')) return [];
  const parts = new Parts(tensors);
  const weight = describe(parts, info, groupSize);
  return [{ weight: parts.problems.length === 0 ? weight : undefined, problems: parts.problems }];
}

function describe(parts: Parts, info: TensorInfo, configured: number): CodedWeight | undefined {
  const base = info.name.replace(/\.qweight$/, '');
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}.scales`, SCALE_TYPES);
  const zero = parts.needed(`${base}.qzeros`, ['I32']);
  if (info.dtype !== 'I32') return parts.wrong(info.name, `is ${info.dtype}, not I32`);
  if (!size || !scale || !zero) return undefined;
  const [width, words] = size;
  const rows = words * IN_WORD;
  const [groups = 0] = scale.shape;
  const fits = [parts.fits(scale, groups, rows), parts.fits(zero, groups, words)];
  const groupSize = groups > 0 ? groupSizeOf(width, groups, [configured]) : undefined;
  if (fits.includes(false)) return undefined;
  if (groupSize === undefined) return parts.wrong(scale.name, `has ${groups} groups, which do not fit ${width} columns`);
  const levels = unsignedLevels(BITS);
  return {
    ...{ codes: info, parts: parts.names, bits: BITS, rowsPerScale: 1, groups, levels },
    info: {
      ...{ name: `${base}.weight`, shape: [rows, width], byteLength: info.byteLength, quantization: 'awq4' },
      dtype: scale.dtype === 'BF16' || scale.dtype === 'F16' ? scale.dtype : 'F32',
    },
    layout: { kind: 'interleaved' },
    readGrids: async files => {
      const zeros = unpackGrid(await files.readRaw(zero.name), [groups, rows], levels, (group, row) => awqPlace(group, row, words));
      return {
        scales: transposed(await files.readFloat32(scale.name), groups, rows),
        zeros: transposed(zeros, groups, rows),
        groupOf: evenGroups(width, groupSize),
      };
    },
  };
}
