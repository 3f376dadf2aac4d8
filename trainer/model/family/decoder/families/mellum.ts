/** Mellum 2: Qwen 3 with experts, but blocks have windows and positions according to their type. */

import { z } from 'zod';
import { isRecord } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import { computed, contradiction, type KeyTable, refused, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { biased, headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, expertCounts, expertKeys, mlpTypes } from '../keys/expert-keys.ts';
import { everywhere, type LayerType, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { qwenMixture } from './qwen3-moe.ts';

const mellumKeys = {
  ...expertKeys,
  ...sizeKeys({
    vocab_size: 98304,
    hidden_size: 2304,
    intermediate_size: 7168,
    num_hidden_layers: 28,
    num_attention_heads: 32,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(4),
  head_dim: headCount(128),
  attention_bias: biased,
  sliding_window: computed(z.number().int().positive().nullish().default(1024)),
  layer_types: listedTypes,
  mlp_layer_types: mlpTypes,
  moe_intermediate_size: computed(size(262144).default(896)),
  ...expertCounts,
  num_experts_per_tok: computed(chosenCount.default(8)),
  norm_topk_prob: computed(z.boolean().default(true)),
  ...withoutEffect('is not read: rope_parameters counts', 'rope_theta', 'original_max_position_embeddings'),
  ...refused('rope_scaling'),
  ...withoutEffect(
    'is not read: layer_types and mlp_layer_types count',
    ...(['use_sliding_window', 'max_window_layers', 'decoder_sparse_step', 'mlp_only_layers'] as const),
  ),
  ...withoutEffect(
    'is of the layers that guess further tokens, which are not loaded',
    ...(['num_mtp_layers', 'num_nextn_predict_layers', 'mtp_layer_types', 'mtp_mlp_layer_types'] as const),
  ),
} as const satisfies KeyTable;

/** Returns a problem for each type of block whose base is missing: there is a default only for configs without any positions. */
const baseProblems = (ropes: ConfigJson | null | undefined, types: readonly LayerType[]): ConfigProblem[] =>
  ropes
    ? [...new Set(types)].flatMap(type => {
        const own = ropes[type];
        return isRecord(own) && typeof own.rope_theta === 'number'
          ? []
          : [contradiction('rope_parameters', `rope_parameters has no rope_theta for "${type}", which blocks have`)];
      })
    : [];

export const mellum = familyOf({
  family: 'mellum',
  keys: mellumKeys,
  own: c => {
    const types = c.layer_types ?? everywhere<LayerType>(c, 'full_attention');
    const sparse = c.mlp_layer_types?.map(type => type === 'sparse') ?? everywhere(c, true);
    return {
      biases: alike(c.attention_bias),
      innerNorms: 'heads',
      windows: windowsOf(c, types),
      ropesByType: { types, thetas: { full_attention: 5e5, sliding_attention: 1e4 } },
      experts: qwenMixture(c, 64, sparse),
      problems: baseProblems(c.rope_parameters, types),
    };
  },
});
