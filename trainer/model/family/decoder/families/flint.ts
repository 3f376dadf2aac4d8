/**
 * Flint (2026): blocks with windows rotate, others do not, and each head has a sink. Experts are chosen by sigmoids, in addition to one that
 * computes every token.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { flintNames } from '../blocks/names.ts';
import { biased, headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertKeys } from '../keys/expert-keys.ts';
import { typesOf, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { mixtureLayerKeys, mixtureLayerProblems, mixtureLayers, qwenMixture } from './qwen3-moe.ts';

const flintKeys = {
  ...expertKeys,
  ...sizeKeys({
    vocab_size: 150144,
    hidden_size: 2048,
    intermediate_size: 6144,
    num_hidden_layers: 49,
    num_attention_heads: 32,
    max_position_embeddings: 262144,
  }),
  num_key_value_heads: headCount(4),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-6),
  attention_bias: biased,
  sliding_window: computed(z.number().int().positive().default(513)),
  layer_types: listedTypes,
  moe_intermediate_size: computed(size(262144).default(512)),
  shared_expert_intermediate_size: computed(size(262144).default(1024)),
  num_experts: computed(count.default(256)),
  num_experts_per_tok: computed(chosenCount.default(6)),
  norm_topk_prob: computed(z.boolean().default(true)),
  ...mixtureLayerKeys,
  ...refused('num_local_experts'),
  ...refusedUnless([true], 'use_sliding_window'),
  ...refusedUnless([false], 'qkv_bias'),
  ...withoutEffect('is not read: layer_types counts', 'max_window_layers'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof flintKeys>;

/** True for the blocks that attend to all tokens by default: the first two, every fourth and the last one. */
const isGlobal = (c: Config, layer: number): boolean => layer < 2 || layer % 4 === 1 || layer === c.num_hidden_layers - 1;

const mixtureOf = (c: Config, layers: readonly boolean[]): DecoderExperts => ({
  ...qwenMixture(c, 256, layers),
  scoring: { of: 'sigmoid', epsilon: 0, factor: 1 },
  routesInFloat32: true,
  shared: { name: 'mlp.shared_expert', intermediateSize: c.shared_expert_intermediate_size, activation: c.hidden_act, gated: false },
});

export const flint = familyOf({
  family: 'flint',
  names: flintNames,
  keys: flintKeys,
  own: c => {
    const types = typesOf(c, layer => isGlobal(c, layer));
    const mixed = { ...c, mlp_only_layers: c.mlp_only_layers ?? [0, 1] };
    return {
      biases: alike(c.attention_bias),
      innerNorms: 'heads',
      sinks: true,
      windows: windowsOf(c, types),
      usesRope: types.map(type => type === 'sliding_attention'),
      experts: mixtureOf(c, mixtureLayers(mixed)),
      problems: c.mlp_only_layers ? mixtureLayerProblems(c) : [],
    };
  },
});
