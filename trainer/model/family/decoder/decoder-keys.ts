/** The keys of config.json of each family of decoders: see `config-keys.ts`. */

import { z } from 'zod';
import { isRecord } from '../../../narrow.ts';
import type { ConfigJson } from '../../config-json.ts';
import { type ConfigValues, computed, type KeyTable, type RefusedKey, refused, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activation, causalKeys, rate, size } from '../common-keys.ts';
import { rotaryKeys } from './rope-config.ts';

/** A number of heads, or the size of one; null where it follows from others. */
export const headCount = (usual: number | null) => computed(size(1024).nullish().default(usual));

/** Files that hold their weights in this way are read as plain numbers. */
export const storedAs = (how: Readonly<Record<string, string>>): RefusedKey => ({
  class: 'refused',
  unless: ({ quantization_config: found }) =>
    isRecord(found) &&
    found.quant_method === how.quant_method &&
    Object.entries(how).every(([key, value]) => (found[key] ?? value) === value)
      ? [found]
      : [],
  supported: JSON.stringify(how),
});

/** The keys that these decoders have in common. Bounds are four times the largest published sizes. */
export const decoderKeys = {
  ...causalKeys,
  ...rotaryKeys,
  vocab_size: computed(size(2 ** 20)),
  hidden_size: computed(size(65536)),
  intermediate_size: computed(size(262144)),
  num_hidden_layers: computed(size(512)),
  num_attention_heads: computed(size(1024)),
  head_dim: headCount(null),
  max_position_embeddings: computed(size(2 ** 24)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-6)),
  hidden_act: activation('silu'),
  tie_word_embeddings: computed(z.boolean().default(false)),
  attention_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().nullish()),
  ...refusedUnless([true], 'is_causal'),
  quantization_config: storedAs({ quant_method: 'fp8', fmt: 'e4m3' }),
} as const;

const windowSize = computed(z.number().int().positive().nullish().default(4096));
const everyLayer =
  (type: string) =>
  ({ layer_types: types }: ConfigJson) => [Array.isArray(types) ? types.map(() => type) : []];

/** Window keys of families whose blocks all see everything. */
const noWindows = {
  layer_types: { class: 'refused', unless: everyLayer('full_attention'), supported: '"full_attention" in every layer' },
  ...refusedUnless([], 'sliding_window', 'attention_chunk_size'),
} as const;

export const llamaKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  attention_bias: computed(z.boolean().default(false)),
  mlp_bias: computed(z.boolean().default(false)),
  ...noWindows,
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

export const mistralKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(8),
  sliding_window: windowSize,
  // Transformers ignores the list here, and windows every layer: what was meant is another class of models.
  layer_types: {
    class: 'refused',
    unless: config => (config.sliding_window === null ? everyLayer('full_attention') : everyLayer('sliding_attention'))(config),
    supported: '"sliding_attention" in every layer ("full_attention" with a sliding_window of null)',
  },
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
} as const satisfies KeyTable;

export const ministral3Keys = {
  ...decoderKeys,
  vocab_size: computed(size(2 ** 20).default(131072)),
  hidden_size: computed(size(65536).default(4096)),
  intermediate_size: computed(size(262144).default(14336)),
  num_hidden_layers: computed(size(512).default(34)),
  num_attention_heads: computed(size(1024).default(32)),
  num_key_value_heads: headCount(8),
  head_dim: computed(size(1024).nullish().default(128)),
  max_position_embeddings: computed(size(2 ** 24).default(262144)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  pad_token_id: computed(z.number().int().nullish().default(11)),
  sliding_window: computed(z.number().int().positive().nullish()),
  layer_types: mistralKeys.layer_types,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
  ...refused('attention_chunk_size'),
} as const satisfies KeyTable;

/** Queries, keys and values, and gate and up, are one matrix each; only the first features of a head may be turned. */
export const phi3Keys = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  pad_token_id: computed(z.number().int().nullish().default(32000)),
  sliding_window: computed(z.number().int().positive().nullish()),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  resid_pdrop: computed(rate.default(0)),
  ...withoutEffect('drops nothing in Transformers either', 'embd_pdrop'),
  layer_types: mistralKeys.layer_types,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
  ...refused('attention_chunk_size'),
} as const satisfies KeyTable;

const layerTypes = computed(
  z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(512)
    .nullish(),
);

export const ministralKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(8),
  sliding_window: windowSize,
  layer_types: layerTypes,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
} as const satisfies KeyTable;

/** Window keys of Qwen: the window is for some layers, and has a switch. */
export const switchedWindow = {
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: windowSize,
  max_window_layers: computed(z.number().int().nonnegative().default(28)),
  layer_types: layerTypes,
} as const;

export const qwen2Keys = {
  ...decoderKeys,
  ...switchedWindow,
  num_key_value_heads: headCount(32),
  ...refusedUnless([true], 'attention_bias'),
  ...refusedUnless([false], 'mlp_bias', 'use_mrope'),
} as const satisfies KeyTable;

export const qwen3Keys = {
  ...decoderKeys,
  ...switchedWindow,
  num_key_value_heads: headCount(32),
  head_dim: headCount(128),
  attention_bias: computed(z.boolean().default(false)),
  ...refusedUnless([false], 'mlp_bias'),
} as const satisfies KeyTable;

const cap = computed(z.number().positive().nullish());
const biased = computed(z.boolean().default(false));
const multiplier = computed(z.number().positive().default(1));

/** Keys of both Gemmas. */
const gemmaCommon = {
  ...decoderKeys,
  num_attention_heads: computed(size(1024).default(8)),
  num_key_value_heads: headCount(4),
  head_dim: computed(size(1024).default(256)),
  hidden_activation: activation('gelu_pytorch_tanh'),
  attention_bias: biased,
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: computed(z.number().int().nullish().default(0)),
  query_pre_attn_scalar: computed(z.number().positive().default(256)),
  sliding_window: windowSize,
  layer_types: layerTypes,
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
  ...refusedUnless([false], 'use_bidirectional_attention'),
  ...withoutEffect('says how keys and values are cached', 'cache_implementation'),
} as const;

export const gemma2Keys = {
  ...gemmaCommon,
  ...withoutEffect('is of older files; hidden_activation counts', 'hidden_act'),
  attn_logit_softcapping: computed(z.number().positive().nullish().default(50)),
  final_logit_softcapping: computed(z.number().positive().nullish().default(30)),
  ...withoutEffect('is for Gemma 3', 'sliding_window_pattern'),
} as const satisfies KeyTable;

export const gemma3Keys = {
  ...gemmaCommon,
  ...withoutEffect('is of older files; hidden_activation counts', 'hidden_act'),
  vocab_size: computed(size(2 ** 20).default(262208)),
  hidden_size: computed(size(65536).default(2304)),
  intermediate_size: computed(size(262144).default(9216)),
  num_hidden_layers: computed(size(512).default(26)),
  max_position_embeddings: computed(size(2 ** 24).default(131072)),
  rope_local_base_freq: computed(z.number().positive().nullish()),
  sliding_window_pattern: computed(z.number().int().positive().max(512).nullish().default(6)),
  ...withoutEffect('says what layer_types says', '_sliding_window_pattern'),
} as const satisfies KeyTable;

export const smollm3Keys = {
  ...decoderKeys,
  num_key_value_heads: headCount(4),
  attention_bias: biased,
  mlp_bias: biased,
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: computed(z.number().int().nullish().default(128004)),
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: computed(z.number().int().positive().nullish()),
  no_rope_layers: computed(
    z
      .array(z.union([z.boolean(), z.literal(0), z.literal(1)]))
      .max(512)
      .nullish(),
  ),
  no_rope_layer_interval: computed(z.number().int().positive().max(512).nullish().default(4)),
  layer_types: layerTypes,
} as const satisfies KeyTable;

const olmoCommon = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  pad_token_id: computed(z.number().int().nullish().default(1)),
} as const;

export const olmo2Keys = { ...olmoCommon, ...noWindows } as const satisfies KeyTable;

export const olmo3Keys = {
  ...olmoCommon,
  sliding_window: windowSize,
  layer_types: layerTypes,
} as const satisfies KeyTable;

export const graniteKeys = {
  ...decoderKeys,
  ...noWindows,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
  embedding_multiplier: multiplier,
  residual_multiplier: multiplier,
  attention_multiplier: multiplier,
  logits_scaling: multiplier,
} as const satisfies KeyTable;

const eyes = 'is of the part that sees images, which is not loaded';

/** Keys of models that also see images: the text part has a config of its own. */
export const imageTextKeys = {
  ...causalKeys,
  text_config: computed(z.record(z.string(), z.unknown()).default({})),
  tie_word_embeddings: computed(z.boolean().default(true)),
  ...withoutEffect(eyes, 'vision_config', 'vision_feature_layer', 'image_token_index', 'image_token_id'),
  ...withoutEffect('is read from text_config', 'pad_token_id'),
} as const satisfies KeyTable;

export const gemma3ImageKeys = {
  ...imageTextKeys,
  ...withoutEffect(eyes, 'mm_tokens_per_image', 'boi_token_index', 'eoi_token_index', 'boi_token_id', 'eoi_token_id'),
} as const satisfies KeyTable;

export const mistral3ImageKeys = {
  ...imageTextKeys,
  ...withoutEffect(eyes, 'projector_hidden_act', 'multimodal_projector_bias', 'spatial_merge_size'),
} as const satisfies KeyTable;

/** The sizes that all families have. */
export type Sizes = ConfigValues<typeof decoderKeys>;
