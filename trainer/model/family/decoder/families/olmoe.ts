/** OLMoE: a mixture of experts in place of each MLP, and norms over all queries or keys of a token together. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refused } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { epsilon } from '../../common-keys.ts';
import { qwenExperts } from '../blocks/expert-names.ts';
import { biased, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertKeys, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const olmoeKeys = {
  ...expertKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 50304,
    hidden_size: 2048,
    intermediate_size: 2048,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(null),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(1),
  attention_bias: biased,
  num_experts: computed(count.default(64)),
  num_experts_per_tok: computed(chosenCount.default(8)),
  norm_topk_prob: computed(z.boolean().default(false)),
  ...refused('clip_qkv', 'num_local_experts'),
} as const satisfies KeyTable;

/** Checks that the norms of queries and keys have the usual size. */
const headProblems = ({
  head_dim: given,
  hidden_size: hidden,
  num_attention_heads: heads,
}: ConfigValues<typeof olmoeKeys>): ConfigProblem[] =>
  given && given * heads !== hidden
    ? [contradiction('head_dim', `head_dim ${given} is not hidden_size ${hidden} over num_attention_heads ${heads}`)]
    : [];

export const olmoe = familyOf({
  family: 'olmoe',
  keys: olmoeKeys,
  own: c => ({
    biases: alike(c.attention_bias),
    innerNorms: 'whole',
    windows: everywhere(c, undefined),
    problems: headProblems(c),
    experts: {
      count: c.num_experts,
      key: 'num_experts',
      chosen: c.num_experts_per_tok,
      sumsToOne: c.norm_topk_prob,
      intermediateSize: c.intermediate_size,
      biased: false,
      layers: everywhere(c, true),
      names: qwenExperts,
      gated: gatedBy(c.hidden_act),
    },
  }),
});
