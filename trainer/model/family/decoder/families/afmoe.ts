/**
 * AFMoE (Arcee's Trinity): every feature of attention has a gate, and norms stand before and after each part of a block. Blocks with windows
 * rotate, others do not. Experts are chosen by sigmoids with a bias, in addition to a shared expert.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import { afmoeExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { afmoeNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, gatedBy } from '../keys/expert-keys.ts';
import { afterPlain, plainBlocks } from '../keys/grouped-experts.ts';
import { layerTypes, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const afmoeKeys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 200192,
    hidden_size: 2048,
    intermediate_size: 6144,
    num_hidden_layers: 32,
    num_attention_heads: 16,
    max_position_embeddings: 16384,
  }),
  num_key_value_heads: headCount(null),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-5),
  attention_bias: biased,
  moe_intermediate_size: computed(size(262144).default(1408)),
  num_dense_layers: plainBlocks(1),
  num_experts: computed(count.default(64)),
  num_experts_per_tok: computed(chosenCount.default(6)),
  num_shared_experts: computed(count.default(2)),
  route_scale: computed(z.number().positive().default(1)),
  global_attn_every_n_layers: computed(z.number().int().positive().max(512).default(4)),
  sliding_window: computed(z.number().int().positive().nullish().default(1024)),
  layer_types: listedTypes,
  mup_enabled: computed(z.boolean().default(false)),
  // The code of the first files reads these; Transformers computes one value of each.
  ...refusedUnless(['sigmoid'], 'score_func'),
  ...refusedUnless([true], 'route_norm'),
  ...refusedUnless([1], 'n_group', 'topk_group', 'num_expert_groups', 'num_limited_groups'),
  ...refused('num_local_experts'),
  ...withoutEffect('says how a model was trained', 'load_balance_coeff'),
  ...withoutEffect('says how experts are computed', 'use_grouped_mm'),
  ...withoutEffect('says what else a model gives out', 'output_router_logits'),
} as const satisfies KeyTable;

const mixtureOf = (c: ConfigValues<typeof afmoeKeys>): DecoderExperts => ({
  count: c.num_experts,
  key: 'num_experts',
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  scoring: { of: 'sigmoid', epsilon: 1e-20, factor: c.route_scale },
  choiceBias: 'mlp.expert_bias',
  shared: {
    name: 'mlp.shared_experts',
    intermediateSize: c.num_shared_experts * c.moe_intermediate_size,
    activation: c.hidden_act,
    gated: false,
  },
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers: afterPlain(c, c.num_dense_layers),
  names: afmoeExperts,
  gated: gatedBy(c.hidden_act),
});

export const afmoe = familyOf({
  family: 'afmoe',
  names: afmoeNames,
  keys: afmoeKeys,
  own: c => {
    const types = layerTypes(c, c.global_attn_every_n_layers);
    return {
      biases: alike(c.attention_bias),
      innerNorms: 'heads',
      gated: 'features apart',
      windows: windowsOf(c, types),
      usesRope: types.map(type => type === 'sliding_attention'),
      experts: mixtureOf(c),
      multipliers: { embeddingMultiplier: { factor: c.mup_enabled ? c.hidden_size ** 0.5 : 1, rounded: false } },
    };
  },
});
