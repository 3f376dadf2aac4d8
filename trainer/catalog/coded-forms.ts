/**
 * The forms of weights in codes that are read, by the `quant_method` of a config's `quantization_config`. `format/coded` finds the weights of
 * each.
 */
import { isRecord } from '../narrow.ts';
import { entryOf, namesOf } from './entries.ts';

type Config = Readonly<Record<string, unknown>>;

/** A key whose value decides whether weights are read. */
interface KeyCheck {
  readonly isRead: (value: unknown, how: Config) => boolean;
  /** The values that are read, for messages. */
  readonly supported: string;
}

interface CodedFormEntry {
  /** One phrase for messages. */
  readonly summary: string;
  /** Keys that are absent or null are checked only if they are `needed`. */
  readonly keys: Readonly<Record<string, KeyCheck>>;
  readonly needed: readonly string[];
}

const oneOf = (...values: readonly (string | number)[]): KeyCheck => ({
  isRead: value => values.some(each => each === (typeof value === 'string' ? value.toLowerCase() : value)),
  supported: values.join(', '),
});

/** A key that changes what the codes stand for, unless it is false or empty. */
const none: KeyCheck = {
  isRead: value => value === false || value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0),
  supported: 'nothing',
};

const compressed = oneOf(
  ...['dense', 'float-quantized', 'int-quantized', 'naive-quantized', 'pack-quantized', 'nvfp4-pack-quantized', 'mixed-precision'],
  ...['mxfp4-pack-quantized', 'mxfp6-pack-quantized', 'mxfp8-quantized'],
);

/** The packings of AutoRound, in the words of GPTQ and of AWQ. */
const AUTO_ROUND = oneOf('auto_round', 'auto_round:gptqmodel', 'auto_round:auto_gptq', 'auto_round:gptq');
const AUTO_ROUND_AWQ = oneOf('auto_round:auto_awq', 'auto_round:awq');

/** Model Optimizer's names of the forms that are read. */
const MODELOPT = ['fp8', 'fp8_per_channel_per_token', 'mxfp8', 'nvfp4', 'w4a16_nvfp4'] as const;
const isModelopt = (value: unknown): boolean => oneOf(...MODELOPT).isRead(value, {});

/** Codes of FP8. Scales are floats, or exponents; types in the file say which. */
const fp8Keys = { fmt: oneOf('e4m3', 'float8_e4m3fn'), expert_dtype: oneOf('fp8'), scale_fmt: oneOf('float', 'ue8m0') };

const entries = {
  'compressed-tensors': {
    summary: 'compressed-tensors (float, int and naive quantized, NVFP4, MXFP4 to MXFP8, or packed in 2, 4 or 8 bits)',
    keys: {
      format: compressed,
      config_groups: {
        // Groups without a format of their own have that of the config.
        isRead: groups =>
          isRecord(groups) && Object.values(groups).every(group => !isRecord(group) || compressed.isRead(group.format ?? 'dense', group)),
        supported: `groups in the formats ${compressed.supported}`,
      },
      sparsity_config: { isRead: found => isRecord(found) && (found.format ?? 'dense') === 'dense', supported: 'the format dense' },
      moe_sparsity_config: none,
      transform_config: { isRead: found => isRecord(found) && none.isRead(found.config_groups ?? {}, found), supported: 'no rotations' },
    },
    needed: ['format'],
  },
  gptq: {
    summary: 'GPTQ in 2, 3, 4 or 8 bits',
    keys: {
      ...{ bits: oneOf(2, 3, 4, 8), pack_dtype: oneOf('int32'), is_marlin_format: none, rotation: none, adapter: none },
      ...{ checkpoint_format: oneOf('', 'gptq', 'gptq_v2'), format: oneOf('', 'gptq', 'gptq_v2') },
    },
    needed: ['bits'],
  },
  awq: {
    summary: 'AWQ (gemm) in 4 bits',
    keys: {
      bits: oneOf(4),
      w_bit: oneOf(4),
      version: oneOf('gemm'),
      pack_dtype: oneOf('int32'),
      checkpoint_format: oneOf('', 'gemm'),
      rotation: none,
      adapter: none,
      format: {
        // An old name is stronger than the new one, as in Transformers.
        isRead: (value, { version }) => typeof version === 'string' || oneOf('', 'gemm').isRead(value, {}),
        supported: 'gemm',
      },
      backend: { isRead: value => value !== 'llm-awq', supported: 'every one but llm-awq' },
    },
    needed: [],
  },
  bitsandbytes: {
    summary: 'bitsandbytes in 4 or 8 bits',
    keys: {
      load_in_4bit: {
        isRead: (in4, { load_in_8bit: in8 = in4 === undefined }) => in4 === true || in8 === true,
        supported: 'true, or load_in_8bit: true',
      },
    },
    needed: [],
  },
  fp8: { summary: 'FP8 (E4M3, a scale for a block)', keys: fp8Keys, needed: [] },
  mxfp8: { summary: 'MXFP8', keys: fp8Keys, needed: [] },
  'auto-round': {
    summary: 'AutoRound in 2, 3, 4 or 8 bits',
    keys: {
      bits: oneOf(2, 3, 4, 8),
      packing_format: {
        isRead: (value, { bits }) => AUTO_ROUND.isRead(value, {}) || (bits === 4 && AUTO_ROUND_AWQ.isRead(value, {})),
        supported: `${AUTO_ROUND.supported}, and in 4 bits ${AUTO_ROUND_AWQ.supported}`,
      },
      data_type: oneOf('int'),
      act_bits: { isRead: value => typeof value === 'number' && value >= 16, supported: '16 or more' },
      rotation_config: none,
      rotation_configs: none,
    },
    needed: ['bits', 'packing_format'],
  },
  modelopt: {
    summary: 'Model Optimizer (FP8, MXFP8 or NVFP4)',
    keys: {
      quant_algo: oneOf(...MODELOPT, 'mixed_precision'),
      quantized_layers: {
        isRead: layers => isRecord(layers) && Object.values(layers).every(layer => isRecord(layer) && isModelopt(layer.quant_algo)),
        supported: `layers in ${MODELOPT.join(', ')}`,
      },
    },
    needed: ['quant_algo'],
  },
  mlx: {
    summary: 'MLX in 2 to 8 bits',
    keys: {
      group_size: oneOf(16, 32, 64, 128),
      bits: oneOf(2, 3, 4, 5, 6, 8),
      mode: oneOf('affine', 'mxfp4', 'mxfp8', 'nvfp4'),
    },
    needed: ['group_size', 'bits'],
  },
} as const satisfies Readonly<Record<string, CodedFormEntry>>;

export type CodedFormName = keyof typeof entries;
const codedForms: Readonly<Record<CodedFormName, CodedFormEntry>> = entries;

/** A description of the forms for messages. */
export const READ_FORMS = namesOf(codedForms)
  .map(name => codedForms[name].summary)
  .join(', ');

/** Returns the keys whose values decide whether weights are read; none for another form. */
export const checkedKeysOf = (method: unknown): readonly string[] => Object.keys(entryOf(codedForms, method)?.keys ?? {});

/** A key of a `quantization_config` whose value is not read. */
export interface UnreadKey {
  readonly key: string;
  readonly value: unknown;
  /** The values that are read, for messages. */
  readonly supported: string;
}

/** Returns the first key that keeps weights of a known form from being read; undefined if they are read, or of no known form. */
export function unreadKeyOf(how: unknown): UnreadKey | undefined {
  const form = isRecord(how) ? entryOf(codedForms, how.quant_method) : undefined;
  if (!isRecord(how) || !form) return undefined;
  const wrong = Object.entries(form.keys).find(([key, { isRead }]) => {
    const value = how[key] ?? undefined;
    return value === undefined ? form.needed.includes(key) : !isRead(value, how);
  });
  return wrong && { key: wrong[0], value: how[wrong[0]], supported: wrong[1].supported };
}

/** Returns the settings in the key `quantization` of a config as MLX writes it, as a `quantization_config`; undefined for another value. */
export const asMlxForm = (quantization: unknown): Config | undefined =>
  isRecord(quantization) ? { ...quantization, quant_method: 'mlx' } : undefined;

/** Returns the content of Model Optimizer's hf_quant_config.json as a `quantization_config`. */
export const asModeloptForm = ({ quantization, ...file }: Config): Config => ({
  ...file,
  ...(isRecord(quantization) && quantization),
  quant_method: 'modelopt',
});

/** Returns the form of weights with this quantization_config; undefined if they are not read by one of these forms. */
export const codedFormOf = (how: unknown): CodedFormName | undefined =>
  isRecord(how) && unreadKeyOf(how) === undefined ? namesOf(codedForms).find(name => name === how.quant_method) : undefined;
