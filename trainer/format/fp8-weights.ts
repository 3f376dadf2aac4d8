/**
 * Weights in 8-bit floats (E4M3) with one scale per block, the format of DeepSeek and Qwen3-FP8 layers: `weight` [out, in] and
 * `weight_scale_inv` [⌈out / rows⌉, ⌈in / columns⌉], or one scale for the whole weight. They are read as float32 values.
 */
import { isRecord } from '../narrow.ts';
import { type CodedWeight, decoderOf, evenGroups } from './coded/coded-weight.ts';
import { type DecodedTensor, withDecoded } from './decoded-weights.ts';
import type { ModelConfig } from './model-config.ts';
import { ModelFileError } from './model-file-error.ts';
import { E4M3 } from './small-floats.ts';
import type { TensorInfo } from './tensor-source.ts';
import type { WeightFiles } from './weight-files.ts';

type Block = readonly [rows: number, columns: number];

const SCALE = '_scale_inv';
/** Scales of activations, for programs that quantize activations too. */
const ACTIVATIONS = /\.(activation|input)_scale$/;
const USUAL: Block = [128, 128];

/** The block size in a config.json, if there is one. */
export function fp8Block({ quantization_config: how }: ModelConfig): Block {
  const block = isRecord(how) ? how.weight_block_size : undefined;
  const [rows, columns] = Array.isArray(block) ? block : [];
  return Number.isInteger(rows) && Number.isInteger(columns) && rows > 0 && columns > 0 ? [rows, columns] : USUAL;
}

interface Scaled {
  readonly weight: TensorInfo;
  readonly scale: TensorInfo;
  /** The block of values that share a scale. */
  readonly block: Block;
}

/**
 * Returns the same files with dequantized values in place of such weights; their scales are no longer listed as tensors.
 * @throws ModelFileError for every scale that does not fit its weight
 */
export function withFp8Weights(files: WeightFiles, path: string, block: Block = USUAL): WeightFiles {
  const scaled = new Map<string, Scaled>();
  const wrong: { tensor: string; message: string }[] = [];
  for (const weight of files.tensors.values()) {
    const other = files.tensors.get(`${weight.name}_scale`);
    if (weight.dtype === 'F8_E4M3' && other)
      wrong.push({ tensor: other.name, message: `is a scale of another form than ${SCALE.slice(1)}` });
    const scale = weight.dtype === 'F8_E4M3' ? files.tensors.get(`${weight.name}${SCALE}`) : undefined;
    if (scale === undefined) continue;
    const own = blockOf(weight, scale, block);
    if (own) scaled.set(weight.name, { weight, scale, block: own });
    else
      wrong.push({
        tensor: scale.name,
        message: `is [${scale.shape.join(', ')}], which does not fit blocks of ${block.join(' × ')} in ${weight.name} [${weight.shape.join(', ')}]`,
      });
  }
  if (wrong.length > 0)
    throw new ModelFileError(path, wrong, 'Check the quantization_config of config.json, its weight_block_size included.');
  const hidden = new Set([...scaled.values()].map(({ scale }) => scale.name));
  for (const name of files.tensors.keys()) if (ACTIVATIONS.test(name) && scaled.has(name.replace(ACTIVATIONS, '.weight'))) hidden.add(name);
  const decoded = [...scaled].map(([name, found]): [string, DecodedTensor] => [name, decoderOf(files, codedWeight(found), path)]);
  return withDecoded(files, new Map(decoded), hidden);
}

/** Describes a weight for `decoderOf`. */
function codedWeight({ weight, scale, block: [rows, columns] }: Scaled): CodedWeight {
  const [, width = 1] = weight.shape;
  return {
    ...{ codes: weight, parts: [scale.name], bits: 8, levels: E4M3, rowsPerScale: rows, groups: Math.ceil(width / columns) },
    // Exports write the values that are read, since no narrower type holds them exactly.
    info: { ...weight, dtype: 'F32', quantization: weight.dtype },
    layout: { kind: 'rows', rowBytes: width },
    readGrids: async files => ({ scales: await files.readFloat32(scale.name), groupOf: evenGroups(width, columns) }),
  };
}

function blockOf({ shape }: TensorInfo, { shape: scales }: TensorInfo, [rows, columns]: Block): Block | undefined {
  const [out = 1, width = 1] = shape;
  if (shape.length !== 2) return undefined;
  if (scales.reduce((n, d) => n * d, 1) === 1 && scales.length < 2) return [out, width];
  const fits = scales.length === 2 && scales[0] === Math.ceil(out / rows) && scales[1] === Math.ceil(width / columns);
  return fits ? [rows, columns] : undefined;
}
