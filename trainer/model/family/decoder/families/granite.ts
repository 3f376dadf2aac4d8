/** Granite: a Llama with multipliers; Granite 4's blocks that attend, with gate and up in one matrix, and perhaps without positions. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, notSupported, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { graniteHybridNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf, type Own } from './family.ts';

const multiplier = computed(z.number().positive().default(1));

const multipliers = {
  embedding_multiplier: multiplier,
  residual_multiplier: multiplier,
  attention_multiplier: multiplier,
  logits_scaling: multiplier,
} as const;

const multiplied = (c: ConfigValues<typeof multipliers>): Pick<Own, 'scale' | 'multipliers'> => ({
  scale: c.attention_multiplier,
  multipliers: {
    embeddingMultiplier: { factor: c.embedding_multiplier, rounded: false },
    residualMultiplier: c.residual_multiplier,
    logitMultiplier: 1 / c.logits_scaling,
  },
});

const graniteKeys = {
  ...decoderKeys,
  ...noWindows,
  ...multipliers,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
} as const satisfies KeyTable;

export const granite = familyOf({
  family: 'granite',
  keys: graniteKeys,
  own: c => ({ ...multiplied(c), biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: everywhere(c, undefined) }),
});

/** Names of blocks that attend, the older one first, and of those with a state. */
const ATTENDS = ['attention', 'full_attention'] as const;
const types = z.array(z.enum([...ATTENDS, 'mamba', 'linear_attention'])).max(512);
const ofMamba = withoutEffect(
  'is of Mamba layers, which are refused',
  ...(['mamba_n_heads', 'mamba_n_groups', 'mamba_d_state', 'mamba_d_head', 'mamba_d_conv', 'mamba_expand', 'mamba_chunk_size'] as const),
  ...(['mamba_conv_bias', 'mamba_proj_bias', 'time_step_limit'] as const),
);

const graniteHybridKeys = {
  ...decoderKeys,
  ...multipliers,
  ...ofMamba,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  shared_intermediate_size: computed(size(262144).default(1024)),
  num_local_experts: computed(z.number().int().nonnegative().default(8)),
  layer_types: computed(types.nullish()),
  layers_block_type: computed(types.nullish()),
  position_embedding_type: computed(z.string().nullish(), ['rope', 'nope']),
  ...withoutEffect('is of experts, which are refused', 'intermediate_size', 'num_experts_per_tok', 'router_aux_loss_coef'),
  ...refusedUnless([false], 'output_router_logits', 'mlp_bias'),
  ...refusedUnless(['rmsnorm'], 'normalization_function'),
  ...withoutEffect('is for new layers', 'init_method'),
} as const satisfies KeyTable;

type HybridConfig = ConfigValues<typeof graniteHybridKeys>;

function hybridProblems(c: HybridConfig): ConfigProblem[] {
  const key = c.layer_types || !c.layers_block_type ? 'layer_types' : 'layers_block_type';
  const found = c.layer_types ?? c.layers_block_type ?? everywhere(c, 'mamba' as const);
  const isOther = found.some(type => !ATTENDS.some(each => each === type));
  return [
    ...(c.num_local_experts > 0 ? [notSupported(['num_local_experts'], c.num_local_experts, [0])] : []),
    ...(isOther ? [notSupported([key], found, '"attention" in every layer: Mamba layers are not computed')] : []),
  ];
}

export const graniteHybrid = familyOf({
  family: 'granitemoehybrid',
  names: graniteHybridNames,
  keys: graniteHybridKeys,
  own: c => ({
    ...multiplied(c),
    biases: alike(c.attention_bias),
    windows: everywhere(c, undefined),
    intermediateSizes: everywhere(c, c.shared_intermediate_size),
    turning: everywhere(c, c.position_embedding_type === 'rope'),
    problems: hybridProblems(c),
  }),
});
