/** Cohere 2 with mixtures of experts in place of most MLPs. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { qwenExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { cohereNames } from '../blocks/names.ts';
import { headCount } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertKeys, gatedBy, MAX_EXPERTS, mlpTypes } from '../keys/expert-keys.ts';
import { everywhere, type LayerType, windowsOf } from '../keys/layers.ts';
import { cohere2Keys } from './cohere2.ts';
import { alike, familyOf } from './family.ts';

const pattern = z.number().int().positive().max(512);

const cohere2MoeKeys = {
  ...expertKeys,
  ...cohere2Keys,
  head_dim: headCount(128),
  sliding_window_pattern: computed(pattern.default(4)),
  prefix_dense_sliding_window_pattern: computed(pattern.default(1)),
  first_k_dense_replace: computed(z.number().int().nonnegative().max(512).default(0)),
  mlp_layer_types: mlpTypes,
  prefix_dense_intermediate_size: computed(size(262144).nullish()),
  num_experts: computed(count.default(8)),
  num_experts_per_tok: computed(chosenCount.default(2)),
  num_shared_experts: computed(z.number().int().nonnegative().max(MAX_EXPERTS).default(0)),
  shared_expert_combination_strategy: computed(z.string().default('average'), ['average', 'sum']),
  expert_selection_fn: computed(z.string().default('softmax'), ['softmax', 'sigmoid']),
  norm_topk_prob: computed(z.boolean().default(true)),
  rms_norm_eps: computed(z.number().positive().nullish()),
  ...withoutEffect('is not read: num_experts counts', 'num_local_experts'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof cohere2MoeKeys>;

/** The listed types; by default, the plain blocks at the start have a pattern of their own. */
const typesOf = (c: Config): LayerType[] =>
  everywhere(c, undefined).map((_, layer) => {
    const plain = c.first_k_dense_replace;
    const [at, every] = layer < plain ? [layer, c.prefix_dense_sliding_window_pattern] : [layer - plain, c.sliding_window_pattern];
    return c.layer_types?.[layer] ?? ((at + 1) % every ? 'sliding_attention' : 'full_attention');
  });

const mixtureOf = (c: Config, layers: readonly boolean[]): DecoderExperts => ({
  count: c.num_experts,
  key: 'num_experts',
  chosen: c.num_experts_per_tok,
  ...(c.expert_selection_fn === 'sigmoid'
    ? { sumsToOne: c.norm_topk_prob, scoring: { of: 'sigmoid', epsilon: 0, factor: 1 } }
    : { sumsToOne: true }),
  intermediateSize: c.intermediate_size,
  biased: false,
  layers,
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
  ...(c.num_shared_experts > 0 && {
    shared: {
      name: 'mlp.shared_experts',
      intermediateSize: c.intermediate_size * c.num_shared_experts,
      activation: c.hidden_act,
      gated: false,
      isAveraged: c.shared_expert_combination_strategy === 'average',
    },
  }),
});

export const cohere2Moe = familyOf({
  family: 'cohere2_moe',
  names: cohereNames,
  keys: cohere2MoeKeys,
  own: c => {
    const types = typesOf(c);
    const mixed = types.map((_, layer) => (c.mlp_layer_types ? c.mlp_layer_types[layer] === 'sparse' : layer >= c.first_k_dense_replace));
    const windows = windowsOf(c, types);
    return {
      biases: alike(c.attention_bias),
      windows,
      usesRope: windows.map((window, layer) => window !== undefined || (!mixed[layer] && c.prefix_dense_sliding_window_pattern === 1)),
      intermediateSizes: everywhere(c, c.prefix_dense_intermediate_size ?? c.intermediate_size),
      norms: c.rms_norm_eps ? { epsilon: c.rms_norm_eps, offset: 0 } : { epsilon: c.layer_norm_eps, offset: 0, centered: true },
      rotatesNeighbors: true,
      sideBySide: true,
      multipliers: { logitMultiplier: c.logit_scale },
      ...(mixed.includes(true) && { experts: mixtureOf(c, mixed) }),
    };
  },
});
