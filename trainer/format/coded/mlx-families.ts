/**
 * Plain tensors that mlx-lm stores otherwise than Hugging Face: filters of convolutions, whose last two axes are swapped, and norms of
 * families that scale by 1 + weight, which it stores as that sum. It does so only for some families, so others are left as they are.
 */
import { isRecord } from '../../narrow.ts';
import type { PlainInfo } from '../decoded-weights.ts';
import type { ModelConfig } from '../model-config.ts';
import { ModelFileError } from '../model-file-error.ts';
import type { TensorInfo } from '../tensor-source.ts';
import { plainType } from './coded-weight.ts';
import { SCALE_TYPES, type Tensors } from './part-checks.ts';

/** A tensor of plain numbers that has another shape, or other numbers, in a model. */
export interface ChangedTensor {
  readonly info: PlainInfo;
  /** Subtracted from its numbers. */
  readonly minus?: number;
}

/** Families whose only other tensors are these, by `model_type`, and whether their norms have a one added. */
const FAMILIES: ReadonlyMap<unknown, boolean> = new Map([
  ...['qwen3_next', 'qwen3_5', 'qwen3_5_text', 'qwen3_5_moe', 'qwen3_5_moe_text'].map(type => [type, true] as const),
  ...['lfm2', 'lfm2_moe', 'nemotron_h', 'granitemoehybrid', 'olmo_hybrid'].map(type => [type, false] as const),
]);
/** Families whose weights it multiplies by factors of the config, and rounds. */
const MULTIPLIED: ReadonlySet<unknown> = new Set(['falcon_h1']);
const FILTERS = /\.(?:\w*_)?conv(?:1d)?\.weight$/;
const NORMS = /(?:\.(?:input_layernorm|post_attention_layernorm|q_norm|k_norm)|(?:^model|\.language_model)\.norm)\.weight$/;

/**
 * Finds such tensors by their shapes, which only mlx-lm writes; its other weights may be in codes or not.
 * @throws ModelFileError for a family whose weights are multiplied
 */
export function mlxChanges(tensors: Tensors, config: ModelConfig, path: string): ChangedTensor[] {
  const text = isRecord(config.text_config) ? config.text_config : config;
  const isShifted = FAMILIES.get(text.model_type) ?? FAMILIES.get(config.model_type);
  const isMultiplied = MULTIPLIED.has(config.model_type);
  if (isShifted === undefined && !isMultiplied) return [];
  const plain = [...tensors.values()].filter(({ dtype }) => SCALE_TYPES.includes(dtype));
  const filters = plain.flatMap((info): ChangedTensor[] => {
    const [rows = 0, taps = 0, last] = info.shape;
    return FILTERS.test(info.name) && info.shape.length === 3 && taps > 1 && last === 1 ? [{ info: plainInfo(info, [rows, 1, taps]) }] : [];
  });
  if (isMultiplied && filters.length > 0)
    throw new ModelFileError(
      path,
      `has weights that mlx-lm multiplied by the factors of config.json and rounded: those of ${config.model_type} are not in it`,
      'Use the folder that it was converted from.',
    );
  // mlx-lm changes both or nothing. The difference may have more digits than the type of the sum.
  const norms = isShifted && filters.length > 0 ? plain.filter(({ name, shape }) => shape.length === 1 && NORMS.test(name)) : [];
  return [...filters, ...norms.map((info): ChangedTensor => ({ info: { ...info, dtype: 'F32' }, minus: 1 }))];
}

const plainInfo = (info: TensorInfo, shape: readonly number[]): PlainInfo => ({ ...info, dtype: plainType(info), shape });
