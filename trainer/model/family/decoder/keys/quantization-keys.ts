/**
 * The key `quantization_config` of config.json: the forms of stored weights that are read, and the keys that each library writes into it. A
 * key inside that no table lists is reported like any other unknown key.
 */
import { z } from 'zod';
import { asMlxForm, checkedKeysOf, codedFormOf, READ_FORMS, unreadKeyOf } from '../../../../catalog/coded-forms.ts';
import { entryOf } from '../../../../catalog/entries.ts';
import { isRecord } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import { computed, type KeyTable, type RefusedKey, unknownInside, unknownKeys, withoutEffect } from '../../../config-keys.ts';

type StoredForm = Readonly<Record<string, string | boolean>>;

/** Advice for weights in other forms. */
const INSTEAD = 'else take the model as it was before quantization, and set quantize: nf4 to save memory';

/** Allows files that store their weights in one of these forms, which are read as plain values. */
export const storedAs = (...forms: StoredForm[]): RefusedKey => ({
  class: 'refused',
  unless: ({ quantization_config: found }) => (isRecord(found) && forms.some(form => hasForm(found, form)) ? [found] : []),
  supported: `${forms.map(form => JSON.stringify(form)).join(' or ')}; ${INSTEAD}`,
});

const hasForm = (found: ConfigJson, form: StoredForm): boolean =>
  found.quant_method === form.quant_method && Object.entries(form).every(([key, value]) => (found[key] ?? value) === value);

/** True if MLX wrote its settings under this key, too, without a method. */
const isOfMlx = ({ quantization, quantization_config: how }: ConfigJson): boolean =>
  isRecord(quantization) && isRecord(how) && how.quant_method === undefined;

const isRead = (config: ConfigJson): boolean => codedFormOf(config.quantization_config) !== undefined || isOfMlx(config);

/** Allows every form of weights that `format/plain-weights.ts` reads. */
export const storedWeights: RefusedKey = {
  class: 'refused',
  unless: config => (isRead(config) ? [config.quantization_config] : []),
  supported: `${READ_FORMS}; ${INSTEAD}`,
  partOf: how => {
    const unread = unreadKeyOf(how);
    return unread && { ...unread, supported: `${unread.supported}; ${INSTEAD}` };
  },
};

const blocks = storedAs({ quant_method: 'mxfp4' });

/** Allows the blocks in which gpt-oss stores its experts, and what MLX makes of them. */
export const storedBlocks: RefusedKey = {
  ...blocks,
  unless: config => (isOfMlx(config) ? [config.quantization_config] : blocks.unless(config)),
};

/** The key `quantization`, which MLX writes. */
export const mlxWeights: RefusedKey = {
  class: 'refused',
  unless: ({ quantization }) => (codedFormOf(asMlxForm(quantization)) ? [quantization] : []),
  supported: `a record of MLX; ${INSTEAD}`,
  partOf: how => unreadKeyOf(asMlxForm(how)),
};

/** Keys that decide how weights are read, whatever their value is. */
const read = (...keys: readonly string[]): KeyTable => Object.fromEntries(keys.map(key => [key, computed(z.unknown())]));

const SHOWN = 'says what the tensors of each layer show';
const QUANTIZER = 'says how the codes were found, not what they stand for';
const ACTIVATIONS = 'is of activations or caches, which are not quantized here';
const OTHERS = 'says how other programs load the file or compute with it';
const ORIGIN = 'says where the file comes from';

/** The keys of the weights of a group in compressed-tensors. */
const argumentKeys: KeyTable = {
  ...read('num_bits', 'type', 'group_size', 'block_structure'),
  ...withoutEffect(SHOWN, 'strategy', 'symmetric', 'actorder', 'scale_dtype', 'zp_dtype', 'dynamic'),
  ...withoutEffect(QUANTIZER, 'observer', 'observer_kwargs'),
};

const groupKeys: KeyTable = {
  ...read('weights', 'format'),
  ...withoutEffect(SHOWN, 'targets'),
  ...withoutEffect(ACTIVATIONS, 'input_activations', 'output_activations'),
};

/** The settings of GPTQ, as Transformers writes them for AWQ, too. */
const calibrationKeys: KeyTable = {
  ...withoutEffect(SHOWN, 'desc_act', 'sym', 'lm_head', 'dynamic', 'modules_in_block_to_quantize'),
  ...withoutEffect(
    QUANTIZER,
    ...(['tokenizer', 'dataset', 'damp_percent', 'damp_auto_increment', 'act_group_aware', 'true_sequential', 'static_groups'] as const),
    ...(['model_seqlen', 'block_name_to_quantize', 'module_name_preceding_first_block', 'batch_size', 'pad_token_id', 'mse'] as const),
    'cache_block_outputs',
  ),
  ...withoutEffect(OTHERS, 'backend', 'max_input_length', 'use_exllama', 'exllama_config', 'disable_exllama', 'use_cuda_fp16'),
  ...withoutEffect(ACTIVATIONS, 'activation'),
  ...withoutEffect(ORIGIN, 'meta', 'method', 'model_name_or_path', 'model_file_base_name'),
};

const fp8Keys: KeyTable = {
  ...read('weight_block_size'),
  ...withoutEffect(SHOWN, 'modules_to_not_convert', 'modules_to_convert', 'ignored_layers'),
  ...withoutEffect(ACTIVATIONS, 'activation_scheme', 'kv_cache_scheme'),
  ...withoutEffect(OTHERS, 'dequantize'),
};

/** The keys by `quant_method`; those whose values are checked come from the catalog. */
const tables = {
  'compressed-tensors': {
    ...withoutEffect(SHOWN, 'ignore', 'quantization_status'),
    ...withoutEffect(ACTIVATIONS, 'kv_cache_scheme'),
    ...withoutEffect(OTHERS, 'run_compressed', 'dequantize', 'use_optimized_inference'),
    ...withoutEffect(ORIGIN, 'global_compression_ratio', 'version'),
  },
  gptq: { ...calibrationKeys, ...read('group_size') },
  awq: {
    ...calibrationKeys,
    ...read('group_size', 'q_group_size'),
    ...withoutEffect(SHOWN, 'zero_point', 'modules_to_not_convert'),
    ...withoutEffect(OTHERS, 'do_fuse', 'fuse_max_seq_len', 'modules_to_fuse'),
  },
  fp8: fp8Keys,
  mxfp8: fp8Keys,
  'auto-round': {
    ...read('group_size', 'extra_config'),
    ...withoutEffect(
      SHOWN,
      'sym',
      'block_name_to_quantize',
      'quant_block_list',
      'to_quant_block_names',
      'quant_lm_head',
      'modules_to_not_convert',
    ),
    ...withoutEffect(
      QUANTIZER,
      ...(['amp', 'batch_size', 'dataset', 'enable_minmax_tuning', 'enable_norm_bias_tuning', 'enable_quanted_input', 'iters'] as const),
      ...(['gradient_accumulate_steps', 'lr', 'minmax_lr', 'low_gpu_mem_usage', 'nsamples', 'scale_dtype', 'seqlen'] as const),
      ...(['enable_alg_ext', 'enable_adam', 'seed', 'supported_types', 'super_bits', 'super_group_size', 'regex_config'] as const),
    ),
    ...withoutEffect(
      ACTIVATIONS,
      ...(['act_data_type', 'act_dynamic', 'act_group_size', 'act_sym'] as const),
      ...(['static_kv_dtype', 'static_attention_dtype', 'static_kv_granularity', 'static_attention_granularity'] as const),
    ),
    ...withoutEffect(OTHERS, 'backend'),
    ...withoutEffect(ORIGIN, 'autoround_version'),
  },
  modelopt: {
    ...withoutEffect(SHOWN, 'config_groups', 'ignore', 'exclude_modules', 'group_size'),
    ...withoutEffect(ACTIVATIONS, 'kv_cache_scheme', 'kv_cache_quant_algo'),
    ...withoutEffect(ORIGIN, 'producer'),
  },
  bitsandbytes: {
    ...read('load_in_8bit', '_load_in_4bit', '_load_in_8bit'),
    ...withoutEffect('is in the record of each weight', 'bnb_4bit_quant_type', 'bnb_4bit_use_double_quant', 'bnb_4bit_quant_storage'),
    ...withoutEffect(SHOWN, 'llm_int8_skip_modules', 'llm_int8_has_fp16_weight'),
    ...withoutEffect(ACTIVATIONS, 'llm_int8_threshold'),
    ...withoutEffect(OTHERS, 'bnb_4bit_compute_dtype', 'llm_int8_enable_fp32_cpu_offload'),
  },
  mxfp4: { ...withoutEffect(SHOWN, 'modules_to_not_convert'), ...withoutEffect(OTHERS, 'dequantize') },
} as const satisfies Readonly<Record<string, KeyTable>>;

/** The keys that MLX writes for all layers, and for one layer under its name. */
const mlxKeys = read('group_size', 'bits', 'mode', 'global_scale');

function unknownMlxKeys(how: ConfigJson): string[][] {
  const layers = Object.keys(how).filter(name => isRecord(how[name]));
  const isLayer = (key: string): boolean => typeof how[key] === 'boolean' || layers.includes(key);
  return [
    ...unknownKeys(mlxKeys, how).flatMap(key => (isLayer(key) ? [] : [[key]])),
    ...layers.flatMap(name => unknownInside(name, mlxKeys, how)),
  ].map(path => ['quantization', ...path]);
}

/** Returns the paths of the keys of a `quantization_config` that no table lists; none for a method that is not read. */
export function unknownQuantizationKeys({ quantization, quantization_config: how }: ConfigJson): string[][] {
  if (isRecord(quantization)) return unknownMlxKeys(quantization);
  if (!isRecord(how)) return [];
  const method = how.quant_method;
  const table = entryOf<string, KeyTable>(tables, method);
  if (table === undefined) return [];
  const groups = method === 'compressed-tensors' && isRecord(how.config_groups) ? how.config_groups : {};
  const inside = Object.entries(groups).flatMap(([name, group]) =>
    isRecord(group)
      ? [...unknownInside(name, groupKeys, groups), ...unknownInside('weights', argumentKeys, group).map(path => [name, ...path])]
      : [],
  );
  return [
    ...unknownKeys({ ...read('quant_method', ...checkedKeysOf(method)), ...table }, how).map(key => [key]),
    ...inside.map(path => ['config_groups', ...path]),
  ].map(path => ['quantization_config', ...path]);
}
