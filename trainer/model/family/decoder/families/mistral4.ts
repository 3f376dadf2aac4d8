/** Mistral 4: the latent attention and experts of DeepSeek-V3, but queries grow with their position, and a softmax scores the experts. */

import { z } from 'zod';
import { computed, contradiction, type KeyTable, refused, refusedUnless } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { headCount, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { afterPlain, groupedExpertKeys, plainBlocks, scoredExperts } from '../keys/grouped-experts.ts';
import { partialRotaryFactor, ropeUnlessGiven } from '../keys/rope-config.ts';
import { features, latentKeys, latentMixture } from './deepseek.ts';
import { familyOf } from './family.ts';
import { mistralYarn } from './mistral.ts';

const mistral4Keys = {
  ...latentKeys,
  ...groupedExpertKeys({ width: 2048, experts: 128, perToken: 4, groups: 1, chosenGroups: 1, factor: 1 }),
  ...sizeKeys({
    vocab_size: 131072,
    hidden_size: 4096,
    intermediate_size: 12288,
    num_hidden_layers: 36,
    num_attention_heads: 32,
    max_position_embeddings: 2 ** 20,
  }),
  num_key_value_heads: headCount(32),
  pad_token_id: paddingId(11),
  q_lora_rank: computed(size(65536).nullable().default(1024)),
  kv_lora_rank: computed(size(65536).default(256)),
  qk_nope_head_dim: computed(features.default(64)),
  first_k_dense_replace: plainBlocks(0),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  ...refusedUnless(['softmax'], 'scoring_func'),
  ...refused('topk_method'),
} as const satisfies KeyTable;

const ropeDefault = ropeUnlessGiven({ ...mistralYarn, rope_theta: 1e4, factor: 128, original_max_position_embeddings: 8192 });

export const mistral4 = familyOf({
  family: 'mistral4',
  keys: mistral4Keys,
  // Transformers computes positions of the default type for whole heads, which then do not fit the part that rotates.
  rope: { types: ['yarn'], isPartial: true, growsQueries: true },
  defaults: config => {
    const { qk_nope_head_dim: nopeDim = 64, qk_rope_head_dim: ropeDim = 64 } = config;
    const headDim = Number(nopeDim) + Number(ropeDim);
    return { head_dim: headDim, partial_rotary_factor: Number(ropeDim) / headDim, ...ropeDefault(config) };
  },
  own: c => {
    const headDim = c.qk_nope_head_dim + c.qk_rope_head_dim;
    const blocks = latentMixture(c, scoredExperts(c, 'softmax', afterPlain(c, c.first_k_dense_replace)), ['qk_head_dim', headDim]);
    const share = partialRotaryFactor(c);
    const message = `partial_rotary_factor ${share} of a head of ${headDim} features is not qk_rope_head_dim ${c.qk_rope_head_dim}`;
    const isWhole = Math.floor(headDim * share) === c.qk_rope_head_dim;
    return { ...blocks, problems: [...blocks.problems, ...(isWhole ? [] : [contradiction('partial_rotary_factor', message)])] };
  },
});
