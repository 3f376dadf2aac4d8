/**
 * The architecture's metadata in a GGUF file as data: keys that are computed, without effect, or refused. An unlisted key is refused too,
 * since it may change what llama.cpp computes.
 */

import type { GgufFamily } from './families/gguf-family.ts';
import type { GgufValue } from './gguf-cursor.ts';

export type GgufKeyRule =
  | { readonly class: 'computed' }
  | { readonly class: 'without-effect'; readonly why: string }
  /** `supported` describes the other supported values; `holds` checks whether a value is one of them. */
  | { readonly class: 'refused'; readonly supported: string; readonly holds: (value: GgufValue, metadata: GgufMetadata) => boolean };

/** Returns the value of a key, which is given without the architecture prefix. */
export type GgufMetadata = (key: string) => GgufValue | undefined;

const listed = (rule: GgufKeyRule, keys: string): Record<string, GgufKeyRule> =>
  Object.fromEntries(
    keys
      .trim()
      .split(/\s+/)
      .map(key => [key, rule]),
  );

const without = (why: string, keys: string) => listed({ class: 'without-effect', why }, keys);

/** True for zero, false, an empty text or no entries: values that some tools write for every key. */
const isNothing = (value: GgufValue): boolean => (Array.isArray(value) ? value.every(isNothing) : Number(value) === 0 || value === '');

const nothing = (keys: string) => listed({ class: 'refused', supported: '0', holds: isNothing }, keys);

const nothingOr = (neutral: number, keys: string) =>
  listed({ class: 'refused', supported: String(neutral), holds: value => isNothing(value) || value === neutral }, keys);

/** Rules for keys of experts, which have no effect without experts; `neutral` is the value that all families with experts here use. */
const withExpertsOnly = (neutral: '0' | '1', keys: string) =>
  listed(
    {
      class: 'refused',
      supported: neutral,
      holds: (value, metadata) => isNothing(metadata('expert_count') ?? 0) || Number(value) === Number(neutral) || isNothing(value),
    },
    keys,
  );

const headDim: (metadata: GgufMetadata) => number = metadata =>
  Number(
    metadata('attention.key_length') ??
      metadata('rope.dimension_count') ??
      Number(metadata('embedding_length')) / Number(metadata('attention.head_count')),
  );

/** True if equal within float32 precision, since the file holds a float32. */
const isNear = (value: GgufValue, expected: number): boolean => typeof value === 'number' && Math.abs(value - expected) <= 1e-6 * expected;

export const ggufKeys: Readonly<Record<string, GgufKeyRule>> = {
  ...listed(
    { class: 'computed' },
    `context_length embedding_length block_count feed_forward_length vocab_size attention.head_count attention.head_count_kv
     attention.key_length attention.layer_norm_rms_epsilon rope.dimension_count rope.freq_base rope.scaling.type rope.scaling.factor
     rope.scaling.original_context_length rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow`,
  ),
  ...without('says how the tensors came into the file', 'tensor_data_layout'),
  ...without('says how the model was trained', 'rope.scaling.finetuned'),
  ...without('is for embeddings and classifiers', 'pooling_type classifier.output_labels'),
  ...without('is for models with an encoder and a decoder', 'decoder_start_token_id decoder_block_count'),
  ...without(
    'is of norms that these models do not have',
    'attention.layer_norm_epsilon attention.group_norm_epsilon attention.group_norm_groups',
  ),
  ...withExpertsOnly(
    '0',
    `expert_feed_forward_length expert_shared_feed_forward_length expert_chunk_feed_forward_length expert_group_scale experts_per_group
     moe_every_n_layers interleave_moe_layer_step router_logit_softcapping`,
  ),
  ...withExpertsOnly('1', 'expert_weights_scale expert_weights_norm expert_gating_func'),
  ...nothing(
    `rope.scaling.yarn_log_multiplier expert_count expert_used_count expert_shared_count expert_group_count expert_group_used_count leading_dense_block_count moe_latent_size
     nextn_predict_layers n_deepstack_layers use_parallel_residual attn_logit_softcapping final_logit_softcapping swin_norm
     rescale_every_n_layers time_mix_extra_dim time_decay_extra_dim token_shift_count full_attention_interval activation_sparsity_scale
     altup.active_idx altup.num_inputs embedding_length_per_layer_input embedding_length_out features_length swiglu_clamp_exp
     swiglu_clamp_shexp attention.max_alibi_bias attention.clamp_kqv attention.q_lora_rank attention.kv_lora_rank
     attention.decay_lora_rank attention.iclr_lora_rank attention.value_residual_mix_lora_rank attention.gate_lora_rank
     attention.relative_buckets_count attention.temperature_length attention.temperature_scale attention.key_length_mla
     attention.value_length_mla attention.key_length_swa attention.value_length_swa attention.shared_kv_layers
     attention.sliding_window_pattern rope.dimension_count_swa rope.dimension_sections rope.freq_base_swa ssm.conv_kernel ssm.inner_size
     ssm.state_size ssm.time_step_rank ssm.group_count ssm.dt_b_c_rms kda.head_dim wkv.head_size posnet.embedding_length
     posnet.block_count convnext.embedding_length convnext.block_count shortconv.l_cache`,
  ),
  ...nothingOr(
    1,
    `logit_scale residual_scale embedding_scale attention.output_scale rope.scaling.alpha rope.scaling.attn_factor rope.scale_linear
     rope.scaling.yarn_ext_factor rope.scaling.yarn_attn_factor`,
  ),
  'attention.causal': { class: 'refused', supported: 'true', holds: value => value === true },
  'attention.scale': {
    class: 'refused',
    supported: 'one over the root of the head size',
    holds: (value, metadata) => isNothing(value) || isNear(value, headDim(metadata) ** -0.5),
  },
  'attention.value_length': {
    class: 'refused',
    supported: 'the length of the keys',
    holds: (value, metadata) => value === headDim(metadata),
  },
  // It is computed for mistral. For the others, llama.cpp applies no window, but Transformers might.
  'attention.sliding_window': {
    class: 'refused',
    supported: 'a window of the whole context',
    holds: (value, metadata) => isNothing(value) || Number(value) >= Number(metadata('context_length')),
  },
};

/** Problems with an architecture's keys: the key, its value, and the supported values. */
export function ggufKeyProblems(
  metadata: ReadonlyMap<string, GgufValue>,
  architecture: string,
  { computed, only = {} }: Pick<GgufFamily, 'computed' | 'only'>,
): string[] {
  const of: GgufMetadata = key => metadata.get(`${architecture}.${key}`);
  return [...metadata].flatMap(([name, value]) => {
    if (!name.startsWith(`${architecture}.`)) return [];
    const key = name.slice(architecture.length + 1);
    if (computed.includes(key)) return [];
    if (Object.hasOwn(only, key)) return value === only[key] ? [] : [`${name} ${show(value)} is not supported; supported is ${only[key]}`];
    const rule = Object.hasOwn(ggufKeys, key) ? ggufKeys[key] : undefined;
    if (rule === undefined) return isNothing(value) ? [] : [`${name} ${show(value)} is not known here, so it can't be computed`];
    return rule.class !== 'refused' || rule.holds(value, of)
      ? []
      : [`${name} ${show(value)} is not supported; supported is ${rule.supported}`];
  });
}

const MAX_SHOWN = 60;

function show(value: GgufValue): string {
  const text = Array.isArray(value) ? `(a list of ${value.length})` : typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1)}…` : text;
}
