/**
 * Weights in 8-bit floats (E4M3) with one scale per block: `weight` [out, in] and `weight_scale_inv` [⌈out / rows⌉, ⌈in / columns⌉], or one
 * scale for the whole weight; experts may be stacks of such matrices. DeepSeek-V3 and Qwen3-FP8 have blocks of 128 × 128 with scales in
 * floats, which are powers of two in DeepSeek-V3.1. MXFP8 has blocks of 1 × 32, whose scales are bytes: exponents (E8M0), of the type F8_E8M0
 * or U8. Weights are read as float32 values.
 */
import { E4M3, E8M0 } from '../small-floats.ts';
import type { TensorInfo } from '../tensor-source.ts';
import { type CodedForm, type Found, foundWeight } from './coded-form.ts';
import { type CodedWeight, evenGroups } from './coded-weight.ts';
import { type Matrices, type Parts, SCALE_TYPES } from './part-checks.ts';

type Block = readonly [rows: number, columns: number];

/** Scales of activations, for programs that quantize activations too. */
const ACTIVATIONS = /\.(?:activation|input)_scale$/;
const USUAL: Block = [128, 128];
/** The blocks of microscaling formats (OCP MX v1.0). */
const MICROSCALING: Block = [1, 32];

/** The block size in a config, if there is one. */
function blockIn({ weight_block_size: block }: Readonly<Record<string, unknown>>): Block {
  const [rows, columns] = Array.isArray(block) ? block : [];
  return Number.isInteger(rows) && Number.isInteger(columns) && rows > 0 && columns > 0 ? [rows, columns] : USUAL;
}

export const fp8: CodedForm = (tensors, how) => {
  const block = blockIn(how);
  const codes = [...tensors.values()].filter(({ dtype }) => dtype === 'F8_E4M3');
  const layers = codes.flatMap((info): Found[] => {
    const other = tensors.get(`${info.name}_scale`);
    const message = 'is a scale of another form than scale_inv';
    if (other) return [{ weight: undefined, problems: [{ tensor: other.name, message }] }];
    return tensors.has(`${info.name}_scale_inv`) ? [foundWeight(tensors, parts => describe(parts, info, block))] : [];
  });
  const scaled = new Set(layers.flatMap(({ weight }) => weight?.info.name ?? []));
  const others = [...tensors.keys()].filter(name => ACTIVATIONS.test(name) && scaled.has(name.replace(ACTIVATIONS, '.weight')));
  return { layers, others };
};

function describe(parts: Parts, info: TensorInfo, configured: Block): CodedWeight | undefined {
  const size = parts.matrices(info);
  const scale = parts.needed(`${info.name}_scale_inv`, [...SCALE_TYPES, 'F8_E8M0', 'U8']);
  if (!size || !scale) return undefined;
  const isExponent = scale.dtype === 'F8_E8M0' || scale.dtype === 'U8';
  const whole: Block = [size.rows, size.columns];
  const block = [configured, ...(isExponent ? [MICROSCALING] : []), whole].find(each => fits(scale, size, each));
  if (!block)
    return parts.wrong(
      scale.name,
      `is [${scale.shape.join(', ')}], which does not fit blocks of ${configured.join(' × ')} in ${info.name} [${info.shape.join(', ')}]: see weight_block_size`,
    );
  const [rowsPerScale, columns] = block;
  return {
    ...{ codes: info, parts: parts.names, bits: 8, levels: E4M3, rowsPerScale, groups: Math.ceil(size.columns / columns) },
    // Exports write the values that are read, since no narrower type holds them exactly.
    info: { ...info, dtype: 'F32', quantization: info.dtype },
    layout: { kind: 'rows', rowBytes: size.columns },
    readGrids: async files => ({
      scales: isExponent
        ? Float32Array.from(await files.readRaw(scale.name), code => E8M0[code] as number)
        : await files.readFloat32(scale.name),
      groupOf: evenGroups(size.columns, columns),
    }),
  };
}

/** Returns whether scales belong to blocks of this size. One scale may also have fewer dimensions. */
function fits({ shape }: TensorInfo, { stack, rows, columns }: Matrices, block: Block): boolean {
  const expected = [...stack, Math.ceil(rows / block[0]), Math.ceil(columns / block[1])];
  const isOne = shape.length < 2 && expected.every(size => size === 1);
  return expected.join() === shape.join() || (isOne && (shape[0] ?? 1) === 1);
}
