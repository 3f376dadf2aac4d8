/**
 * Weights of AWQ (version "gemm"): `qweight`, words [columns, rows / 8]; `qzeros`, words [groups, rows / 8]; `scales` [groups, rows]. The
 * codes of eight rows are in a word in an order of their own.
 */
import type { CodedForm } from './coded-form.ts';
import { awqPlace, type CodedWeight, evenGroups, plainType, unpackGrid, unsignedLevels } from './coded-weight.ts';
import { type GroupedWords, sizeOfGroups, transposed, wordForm } from './grouped-words.ts';
import type { Parts } from './part-checks.ts';

const BITS = 4;
const IN_WORD = 8;

export const awq: CodedForm = (tensors, how) => {
  const groupSize = Number(how.group_size ?? how.q_group_size);
  return wordForm(tensors, (parts, words) => describe(parts, words, groupSize));
};

function describe(parts: Parts, found: GroupedWords, configured: number): CodedWeight | undefined {
  const { base, codes, size, scale, zero, groups } = found;
  const [width, words] = size;
  const rows = words * IN_WORD;
  const fits = [parts.fits(scale, groups, rows), parts.fits(zero, groups, words)];
  if (fits.includes(false)) return undefined;
  const groupSize = sizeOfGroups(parts, found, width, configured);
  if (groupSize === undefined) return undefined;
  const levels = unsignedLevels(BITS);
  return {
    ...{ codes, parts: parts.names, bits: BITS, rowsPerScale: 1, groups, levels },
    info: { name: `${base}.weight`, shape: [rows, width], dtype: plainType(scale), byteLength: codes.byteLength, quantization: 'awq4' },
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
