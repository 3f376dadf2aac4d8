/** GLM-4.5 and 4.6: half of each head turns, and experts are chosen by sigmoids with a bias, next to one that computes every token. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { qwenExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { chosenCount, count, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';

const glm4MoeKeys = {
  ...decoderKeys,
  ...noWindows,
  vocab_size: computed(size(2 ** 20).default(151552)),
  hidden_size: computed(size(65536).default(4096)),
  intermediate_size: computed(size(262144).default(10944)),
  num_hidden_layers: computed(size(512).default(46)),
  num_attention_heads: computed(size(1024).default(96)),
  num_key_value_heads: headCount(8),
  max_position_embeddings: computed(size(2 ** 24).default(131072)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  attention_bias: biased,
  use_qk_norm: computed(z.boolean().default(false)),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  moe_intermediate_size: computed(size(262144).default(1408)),
  n_routed_experts: computed(count.default(128)),
  num_experts_per_tok: computed(chosenCount.default(8)),
  n_shared_experts: computed(count.default(1)),
  n_group: computed(count.default(1)),
  topk_group: computed(chosenCount.default(1)),
  first_k_dense_replace: computed(z.number().int().nonnegative().max(512).default(1)),
  norm_topk_prob: computed(z.boolean().default(true)),
  routed_scaling_factor: computed(z.number().positive().default(1)),
  ...withoutEffect('says what else a model gives out', 'output_router_logits'),
  ...withoutEffect(
    'is of the layers that guess further tokens, which are not loaded',
    ...(['num_nextn_predict_layers', 'num_mtp_layers'] as const),
  ),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'ignore_keys_at_rope_validation'),
  ...refusedUnless([false], 'mlp_bias', 'use_sliding_window'),
  ...refused('num_local_experts'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof glm4MoeKeys>;

const mixtureOf = (c: Config): DecoderExperts => ({
  count: c.n_routed_experts,
  key: 'n_routed_experts',
  chosen: c.num_experts_per_tok,
  sumsToOne: c.norm_topk_prob,
  sigmoids: { epsilon: 1e-20, factor: c.routed_scaling_factor, groups: { count: c.n_group, chosen: c.topk_group } },
  choiceBias: 'mlp.gate.e_score_correction_bias',
  routesInFloat32: true,
  shared: {
    name: 'mlp.shared_experts',
    intermediateSize: c.n_shared_experts * c.moe_intermediate_size,
    activation: c.hidden_act,
    gated: false,
  },
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers: Array.from({ length: c.num_hidden_layers }, (_, layer) => layer >= c.first_k_dense_replace),
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
});

/** Each group gives its two best experts, and the chosen groups have as many experts as a token asks for. */
function groupProblems({
  n_routed_experts: all,
  n_group: groupCount,
  topk_group: chosen,
  num_experts_per_tok: perToken,
}: Config): ConfigProblem[] {
  const inGroup = all / groupCount;
  if (!Number.isInteger(inGroup) || inGroup < 2)
    return [contradiction('n_group', `n_group ${groupCount} does not divide n_routed_experts ${all} into groups of two experts or more`)];
  if (chosen > groupCount) return [contradiction('topk_group', `topk_group ${chosen} is above n_group ${groupCount}`)];
  if (perToken <= chosen * inGroup || perToken > all) return [];
  const message = `num_experts_per_tok ${perToken} is above the ${chosen * inGroup} experts of topk_group ${chosen} of n_group ${groupCount} groups`;
  return [contradiction('num_experts_per_tok', message)];
}

export const glm4Moe = familyOf({
  family: 'glm4_moe',
  keys: glm4MoeKeys,
  rope: { isPartial: true },
  defaults: () => ({ partial_rotary_factor: 0.5 }),
  own: c => ({
    biases: { qkv: c.attention_bias, output: false },
    windows: everywhere(c, undefined),
    ...(c.use_qk_norm && { innerNorms: 'heads' }),
    experts: mixtureOf(c),
    problems: groupProblems(c),
  }),
});
