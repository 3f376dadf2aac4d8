/** Mistral 4: the latent attention and experts of DeepSeek-V3, but queries grow with their position, and a softmax scores the experts. */

import { z } from 'zod';
import { computed, contradiction, type KeyTable, refused, refusedUnless } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { headCount } from '../keys/decoder-keys.ts';
import { afterPlain, groupedExpertKeys, plainBlocks, scoredExperts } from '../keys/grouped-experts.ts';
import { partialRotaryFactor } from '../keys/rope-config.ts';
import { features, latentBlocks, latentKeys } from './deepseek.ts';
import { familyOf } from './family.ts';

const mistral4Keys = {
  ...latentKeys,
  ...groupedExpertKeys({ width: 2048, experts: 128, perToken: 4, groups: 1, chosenGroups: 1, factor: 1 }),
  vocab_size: computed(size(2 ** 20).default(131072)),
  hidden_size: computed(size(65536).default(4096)),
  intermediate_size: computed(size(262144).default(12288)),
  num_hidden_layers: computed(size(512).default(36)),
  num_attention_heads: computed(size(1024).default(32)),
  num_key_value_heads: headCount(32),
  max_position_embeddings: computed(size(2 ** 24).default(2 ** 20)),
  pad_token_id: computed(z.number().int().nullish().default(11)),
  q_lora_rank: computed(size(65536).nullable().default(1024)),
  kv_lora_rank: computed(size(65536).default(256)),
  qk_nope_head_dim: computed(features.default(64)),
  first_k_dense_replace: plainBlocks(0),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  ...refusedUnless(['softmax'], 'scoring_func'),
  ...refused('topk_method'),
} as const satisfies KeyTable;

/** Transformers' default for a config without positions. */
const ROPE = {
  ...{ rope_type: 'yarn', rope_theta: 1e4, factor: 128, original_max_position_embeddings: 8192, beta_fast: 32, beta_slow: 1 },
  ...{ mscale: 1, mscale_all_dim: 1, llama_4_scaling_beta: 0.1 },
} as const;

export const mistral4 = familyOf({
  family: 'mistral4',
  keys: mistral4Keys,
  // Transformers computes positions of the default type for whole heads, which then do not fit the part that rotates.
  rope: { types: ['yarn'], isPartial: true, growsQueries: true },
  defaults: ({ qk_nope_head_dim: nopeDim = 64, qk_rope_head_dim: ropeDim = 64, rope_scaling: older, rope_parameters: newer }) => ({
    head_dim: Number(nopeDim) + Number(ropeDim),
    partial_rotary_factor: Number(ropeDim) / (Number(nopeDim) + Number(ropeDim)),
    ...(older || newer ? {} : { rope_parameters: ROPE }),
  }),
  own: c => {
    const headDim = c.qk_nope_head_dim + c.qk_rope_head_dim;
    const blocks = latentBlocks(c, scoredExperts(c, 'softmax', afterPlain(c, c.first_k_dense_replace)), ['qk_head_dim', headDim]);
    const share = partialRotaryFactor(c);
    const message = `partial_rotary_factor ${share} of a head of ${headDim} features is not qk_rope_head_dim ${c.qk_rope_head_dim}`;
    const isWhole = Math.floor(headDim * share) === c.qk_rope_head_dim;
    return { ...blocks, problems: [...(blocks.problems ?? []), ...(isWhole ? [] : [contradiction('partial_rotary_factor', message)])] };
  },
});
