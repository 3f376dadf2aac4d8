/**
 * LFM2: most blocks have a short convolution in place of attention, and the others normalize their heads. A variant has mixtures of experts
 * in place of most MLPs.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import { lfm2Experts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { lfm2MoeNames, lfm2Names } from '../blocks/lfm-names.ts';
import { biased, decoderKeys, headCount, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const NOT_READ = 'is not read by Transformers either';

const listed = z.array(z.enum(['full_attention', 'conv'])).max(512);

/** The keys that all of its models have. */
export const lfm2SharedKeys = {
  ...decoderKeys,
  ...sizeKeys({ vocab_size: 65536, num_hidden_layers: 32, num_attention_heads: 32, max_position_embeddings: 128000 }),
  num_key_value_heads: headCount(8),
  pad_token_id: paddingId(0),
  tie_word_embeddings: computed(z.boolean().default(true)),
  norm_eps: epsilon(1e-5),
  conv_L_cache: computed(z.number().int().min(2).max(64).default(3)),
  conv_bias: biased,
  // An older name, which takes precedence over the newer one.
  tie_embedding: computed(z.boolean().nullish()),
  ...withoutEffect('is ignored; norm_eps applies', 'rms_norm_eps', 'block_norm_eps'),
  ...withoutEffect('is not read: the gate of the MLP is SiLU, and nothing is dropped', 'hidden_act', 'attention_dropout'),
  ...withoutEffect(NOT_READ, 'block_dim', 'conv_dim', 'conv_dim_out', 'num_heads', 'theta', 'use_pos_enc', 'block_use_swiglu'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
  ...withoutEffect('is for new layers', 'block_mlp_init_scale', 'block_out_init_scale', 'block_use_xavier_init', 'conv_use_xavier_init'),
  ...refusedUnless([false], 'attention_bias', 'mlp_bias', 'use_sliding_window'),
  ...refused('sliding_window', 'attention_chunk_size'),
} as const;

const lfm2Keys = {
  ...lfm2SharedKeys,
  ...sizeKeys({ hidden_size: 2560, intermediate_size: 12288 }),
  layer_types: computed(listed.nullish()),
  full_attn_idxs: computed(z.array(z.number().int().nonnegative()).max(512).nullish()),
  block_multiple_of: computed(size(262144).default(256)),
  // Published models have 1 or less than 2; the bound keeps tensor sizes within those of other families.
  block_ffn_dim_multiplier: computed(z.number().positive().max(16).nullish().default(1)),
  block_auto_adjust_ff_dim: computed(z.boolean().default(true)),
  // An older name, which takes precedence over the newer one.
  block_ff_dim: computed(size(262144).nullish()),
} as const satisfies KeyTable;

const lfm2MoeKeys = {
  ...lfm2SharedKeys,
  ...sizeKeys({ hidden_size: 2048, intermediate_size: 7168 }),
  layer_types: computed(listed),
  moe_intermediate_size: computed(size(262144).default(1792)),
  num_dense_layers: computed(z.number().int().nonnegative().max(512).default(2)),
  num_experts: computed(count.default(32)),
  num_experts_per_tok: computed(chosenCount.default(4)),
  use_expert_bias: computed(z.boolean().default(true)),
  norm_topk_prob: computed(z.boolean().default(true)),
  routed_scaling_factor: computed(z.number().positive().default(1)),
  ...withoutEffect('says what else a model gives out', 'output_router_logits'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof lfm2Keys>;

const attends = (c: Config, layer: number): boolean =>
  c.layer_types ? c.layer_types[layer] === 'full_attention' : (c.full_attn_idxs?.includes(layer) ?? true);

/** The blocks, whatever MLP they have. */
export const lfm2Blocks = (c: ConfigValues<typeof lfm2SharedKeys>, isConvolution: (layer: number) => boolean) =>
  ({
    biases: alike(false),
    windows: everywhere(c, undefined),
    innerNorms: 'heads',
    convolution: {
      layers: Array.from({ length: c.num_hidden_layers }, (_, layer) => isConvolution(layer)),
      width: c.conv_L_cache,
      biased: c.conv_bias,
    },
    activation: 'silu',
    norms: { epsilon: c.norm_eps, offset: 0 },
    tied: c.tie_embedding ?? c.tie_word_embeddings,
  }) as const;

/** The adjusted MLP size, if the config requests it: two thirds of the stated size, times a factor, rounded up to the next multiple. */
function innerSize(c: Config): number {
  const given = c.block_ff_dim ?? c.intermediate_size;
  if (!c.block_auto_adjust_ff_dim) return given;
  const part = Math.floor((2 * given) / 3);
  if (c.block_ffn_dim_multiplier === null) return part;
  return c.block_multiple_of * Math.ceil(Math.floor(c.block_ffn_dim_multiplier * part) / c.block_multiple_of);
}

export const lfm2 = familyOf({
  family: 'lfm2',
  names: lfm2Names,
  rope: { theta: 1e6 },
  keys: lfm2Keys,
  own: c => ({ ...lfm2Blocks(c, layer => !attends(c, layer)), intermediateSizes: everywhere(c, innerSize(c)) }),
});

const mixtureOf = (c: ConfigValues<typeof lfm2MoeKeys>): DecoderExperts => ({
  count: c.num_experts,
  key: 'num_experts',
  chosen: c.num_experts_per_tok,
  sumsToOne: c.norm_topk_prob,
  scoring: { of: 'sigmoid', epsilon: 1e-6, factor: c.routed_scaling_factor },
  ...(c.use_expert_bias && { choiceBias: 'feed_forward.expert_bias' }),
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers: Array.from({ length: c.num_hidden_layers }, (_, layer) => layer >= c.num_dense_layers),
  names: lfm2Experts,
  gated: gatedBy('silu'),
});

export const lfm2Moe = familyOf({
  ...{ family: 'lfm2_moe', names: lfm2MoeNames, rope: { theta: 1e6 }, keys: lfm2MoeKeys },
  own: c => ({ ...lfm2Blocks(c, layer => c.layer_types[layer] === 'conv'), experts: mixtureOf(c) }),
});
