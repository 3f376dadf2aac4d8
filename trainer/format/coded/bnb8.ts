/**
 * Weights in 8 bits as bitsandbytes saves them (LLM.int8): `weight` with signs, and `SCB`, the largest magnitude of each row, for which the
 * code 127 stands (Dettmers et al. 2022). Weights in 4 bits have records of their own: see `bnb-weights.ts`.
 */
import { ModelFileError } from '../model-file-error.ts';
import type { TensorInfo } from '../tensor-source.ts';
import type { WeightFiles } from '../weight-files.ts';
import { type CodedForm, foundWeight } from './coded-form.ts';
import { type CodedWeight, evenGroups, SIGNED } from './coded-weight.ts';
import type { Parts } from './part-checks.ts';

const LARGEST = 127;

export const bnb8: CodedForm = tensors => ({
  layers: [...tensors.values()]
    // Codes of 4 bits may be stored in this type, too.
    .filter(({ name, dtype }) => dtype === 'I8' && name.endsWith('.weight') && !tensors.has(`${name}.absmax`))
    .map(info => foundWeight(tensors, parts => describe(parts, info))),
  others: [],
});

function describe(parts: Parts, info: TensorInfo): CodedWeight | undefined {
  const base = info.name.replace(/\.weight$/, '');
  const size = parts.matrix(info);
  const scale = parts.needed(`${base}.SCB`, ['F32']);
  const order = parts.optional(`${base}.weight_format`, ['U8']);
  if (!size || !scale) return undefined;
  const [rows, width] = size;
  if (!parts.fits(scale, rows) || (order && !parts.fits(order))) return undefined;
  return {
    ...{ codes: info, parts: parts.names, bits: 8, rowsPerScale: 1, groups: 1, levels: SIGNED },
    // Exports write the values that are read, since no narrower type holds them exactly.
    info: { name: info.name, shape: [rows, width], dtype: 'F32', byteLength: info.byteLength, quantization: 'bnb8' },
    layout: { kind: 'rows', rowBytes: width },
    readGrids: async (files, path) => {
      if (order) await checkOrder(files, order, path);
      const scales = await files.readFloat32(scale.name);
      return { scales: scales.map(largest => largest / LARGEST), groupOf: evenGroups(width, width) };
    },
  };
}

/** Checks that codes are in rows; versions before 0.45 could also save the order of a kernel. */
async function checkOrder(files: WeightFiles, { name }: TensorInfo, path: string): Promise<void> {
  const [format = 0] = await files.readRaw(name);
  if (format === 0) return;
  const message = `is ${format}: the codes are in the order of a kernel, not in rows`;
  throw new ModelFileError(path, [{ tensor: name, message }], 'Load the model with bitsandbytes, and save it again.');
}
