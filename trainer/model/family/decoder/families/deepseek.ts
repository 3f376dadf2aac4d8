/**
 * DeepSeek-V3, and GLM-4.7-Flash with the same layers: multi-head latent attention, and the experts of GLM-4.5. DeepSeek-V2 chooses experts by
 * a softmax over all.
 */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { biased, decoderKeys, headCount, noWindows, same, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, mlpTypes } from '../keys/expert-keys.ts';
import { afterPlain, groupedExpertKeys, groupedExperts, groupProblems, plainBlocks, scoredExperts } from '../keys/grouped-experts.ts';
import { everywhere } from '../keys/layers.ts';
import { yarnScores } from '../keys/rope-config.ts';
import { alike, familyOf, type Own } from './family.ts';

/** Number of features of a part of a head. */
export const features = size(1024);

export const latentKeys = {
  ...decoderKeys,
  ...noWindows,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  q_lora_rank: computed(size(65536).nullable().default(1536)),
  kv_lora_rank: computed(size(65536).default(512)),
  qk_nope_head_dim: computed(features.default(128)),
  qk_rope_head_dim: computed(features.default(64)),
  v_head_dim: computed(features.default(128)),
  rope_interleave: computed(z.boolean().nullable().default(true)),
  ...withoutEffect('follows from qk_nope_head_dim and qk_rope_head_dim', 'qk_head_dim'),
  ...withoutEffect('says how a model was trained', 'pretraining_tp', 'ep_size', 'aux_loss_alpha', 'seq_aux'),
  ...refusedUnless([1], 'moe_layer_freq'),
  ...refusedUnless(['noaux_tc'], 'topk_method'),
  ...refusedUnless(['sigmoid'], 'scoring_func'),
  ...refusedUnless([false], 'mlp_bias', 'use_sliding_window'),
  ...refused('num_local_experts', 'index_topk', 'index_n_heads', 'index_head_dim', 'indexer_types'),
} as const satisfies KeyTable;

/** Transformers uses the head size as the size of the part that rotates, which positions are computed for. */
export const ropeDimDefault =
  (usual: number) =>
  ({ qk_rope_head_dim: given }: Readonly<Record<string, unknown>>) => ({ head_dim: given ?? usual });

type Latent = ConfigValues<typeof latentKeys>;
type Config = Latent & Parameters<typeof groupedExperts>[0];

/**
 * Blocks of latent attention.
 * @param heads the key whose value `head_dim` must have, and that value
 */
export const latentBlocks = (c: Latent, [headKey, headDim]: readonly [key: string, value: number]) => {
  const { qk_nope_head_dim: nopeDim, qk_rope_head_dim: ropeDim, v_head_dim: valueDim } = c;
  const heads = c.num_attention_heads;
  return {
    biases: alike(c.attention_bias),
    windows: everywhere(c, undefined),
    heads: everywhere(c, { kvHeads: heads, headDim: nopeDim + ropeDim, valueDim }),
    latent: { queryRank: c.q_lora_rank ?? undefined, rank: c.kv_lora_rank, nopeDim, ropeDim, valueDim },
    scale: (nopeDim + ropeDim) ** -0.5 * yarnScores(c),
    rotatesNeighbors: c.rope_interleave ?? false,
    problems: [
      ...(c.num_key_value_heads === heads || c.num_key_value_heads === null
        ? []
        : [
            contradiction(
              'num_key_value_heads',
              `num_key_value_heads ${c.num_key_value_heads} is not num_attention_heads ${heads}: each head has keys and values of its own`,
            ),
          ]),
      ...(c.head_dim === headDim
        ? []
        : [contradiction('head_dim', `head_dim ${c.head_dim} is not ${headKey} ${headDim}, which it stands for in this family`)]),
    ],
  } satisfies Own;
};

/** Latent attention with experts in groups. @param heads see `latentBlocks` */
export function latentMixture(c: Config, experts: DecoderExperts, heads: readonly [key: string, value: number]) {
  const blocks = latentBlocks(c, heads);
  return { ...blocks, experts, problems: [...blocks.problems, ...groupProblems(c)] };
}

/** @param layers for each block, whether it has experts */
const deepseekBlocks = (c: Config, layers: readonly boolean[]): Own =>
  latentMixture(c, groupedExperts(c, layers), ['qk_rope_head_dim', c.qk_rope_head_dim]);

const deepseekV3Keys = {
  ...latentKeys,
  ...groupedExpertKeys({ width: 2048, experts: 256, perToken: 8, groups: 8, chosenGroups: 4, factor: 2.5 }),
  ...sizeKeys({
    vocab_size: 129280,
    hidden_size: 7168,
    intermediate_size: 18432,
    num_hidden_layers: 61,
    num_attention_heads: 128,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(128),
  first_k_dense_replace: plainBlocks(3),
} as const satisfies KeyTable;

export const deepseekV3 = familyOf({
  family: 'deepseek_v3',
  keys: deepseekV3Keys,
  defaults: ropeDimDefault(64),
  own: c => deepseekBlocks(c, afterPlain(c, c.first_k_dense_replace)),
});

const deepseekV2Keys = {
  ...latentKeys,
  ...groupedExpertKeys({ width: 1407, experts: 64, perToken: 1, groups: 1, chosenGroups: 1, factor: 1 }),
  ...sizeKeys({
    vocab_size: 102400,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
  }),
  num_experts_per_tok: computed(chosenCount),
  n_shared_experts: computed(count.default(2)),
  first_k_dense_replace: plainBlocks(0),
  ...refusedUnless(['greedy'], 'topk_method'),
  ...refusedUnless(['softmax'], 'scoring_func'),
  // Transformers does not read it, and the code of the first files divides by the sum in place of multiplying by the factor.
  ...refusedUnless([false], 'norm_topk_prob'),
  // Neighbors always rotate together.
  ...refusedUnless([true], 'rope_interleave'),
  num_experts: same(({ n_routed_experts: own = 64 }) => own),
  ...withoutEffect('is for another topk_method', 'n_group', 'topk_group'),
} as const satisfies KeyTable;

export const deepseekV2 = familyOf({
  family: 'deepseek_v2',
  keys: deepseekV2Keys,
  defaults: ropeDimDefault(64),
  own: c => {
    const layers = afterPlain(c, c.first_k_dense_replace);
    const one = { ...c, rope_interleave: true, norm_topk_prob: false, n_group: 1, topk_group: 1 };
    return latentMixture(one, { ...scoredExperts(one, 'softmax', layers), routesInFloat32: true }, [
      'qk_rope_head_dim',
      c.qk_rope_head_dim,
    ]);
  },
});

const glm4MoeLiteKeys = {
  ...latentKeys,
  ...groupedExpertKeys({ width: 1536, experts: 64, perToken: 4, groups: 1, chosenGroups: 1, factor: 1.8 }),
  ...sizeKeys({
    vocab_size: 154880,
    hidden_size: 2048,
    intermediate_size: 10240,
    num_hidden_layers: 47,
    num_attention_heads: 20,
    max_position_embeddings: 202752,
  }),
  num_key_value_heads: headCount(20),
  rms_norm_eps: epsilon(1e-5),
  q_lora_rank: computed(size(65536).nullable().default(768)),
  qk_nope_head_dim: computed(features.default(192)),
  v_head_dim: computed(features.default(256)),
  mlp_layer_types: mlpTypes,
  // Transformers does not read this key: the list applies, or the first block has a plain MLP.
  first_k_dense_replace: {
    class: 'refused',
    unless: ({ mlp_layer_types: types, first_k_dense_replace: given }) => [Array.isArray(types) ? given : 1],
    supported: '1, or a list in mlp_layer_types',
  },
} as const satisfies KeyTable;

export const glm4MoeLite = familyOf({
  family: 'glm4_moe_lite',
  keys: glm4MoeLiteKeys,
  defaults: ropeDimDefault(64),
  own: c => deepseekBlocks(c, c.mlp_layer_types?.map(type => type === 'sparse') ?? afterPlain(c, 1)),
});
