/**
 * Kolibri 1 (Aleph Alpha 2026): blocks with windows rotate, others do not, and norms stand before and after each part of a block. Logits with
 * a bias decide which experts compute a token, and their sigmoids are the weights.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { kolibriNames } from '../blocks/names.ts';
import { headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, expertCounts, expertKeys } from '../keys/expert-keys.ts';
import { everywhere, layerTypes, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { qwenMixture } from './qwen3-moe.ts';

const kolibriKeys = {
  ...expertKeys,
  ...sizeKeys({
    vocab_size: 128000,
    hidden_size: 2560,
    num_hidden_layers: 50,
    num_attention_heads: 48,
    max_position_embeddings: 262144,
  }),
  num_key_value_heads: headCount(4),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-6),
  sliding_window: computed(z.number().int().positive().nullish().default(513)),
  layer_types: listedTypes,
  moe_intermediate_size: computed(size(262144).default(512)),
  shared_expert_intermediate_size: computed(size(262144).default(512)),
  ...expertCounts,
  num_experts_per_tok: computed(chosenCount.default(6)),
  norm_topk_prob: computed(z.boolean().default(false)),
  ...withoutEffect('is not read: every block has experts', 'intermediate_size'),
  ...refusedUnless([true], 'use_sliding_window'),
  ...refusedUnless([false], 'attention_bias'),
  ...refusedUnless([1], 'decoder_sparse_step'),
  ...refusedUnless([[]], 'mlp_only_layers'),
} as const satisfies KeyTable;

const mixtureOf = (c: ConfigValues<typeof kolibriKeys>): DecoderExperts => ({
  ...qwenMixture(c, 384, everywhere(c, true)),
  scoring: { of: 'sigmoid', epsilon: 0, factor: 1, choosesByLogits: true },
  routesInFloat32: true,
  choiceBias: 'moe.router.expert_bias',
  shared: { name: 'mlp.shared_experts', intermediateSize: c.shared_expert_intermediate_size, activation: c.hidden_act, gated: false },
});

export const kolibri = familyOf({
  family: 'kolibri1',
  names: kolibriNames,
  keys: kolibriKeys,
  own: c => {
    const types = layerTypes(c, 5);
    return {
      biases: alike(false),
      innerNorms: 'heads',
      // No block has a plain MLP.
      intermediateSizes: everywhere(c, c.moe_intermediate_size),
      windows: windowsOf(c, types),
      usesRope: types.map(type => c.sliding_window === null || type === 'sliding_attention'),
      experts: mixtureOf(c),
    };
  },
});
