/** GLM-4.5 and 4.6: half of each head rotates, and experts are chosen by sigmoids with a bias, in addition to a shared expert. */

import { z } from 'zod';
import { computed, type KeyTable, refused, refusedUnless } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { biased, decoderKeys, headCount, noWindows, sizeKeys } from '../keys/decoder-keys.ts';
import { afterPlain, groupedExpertKeys, groupedExperts, groupProblems, plainBlocks } from '../keys/grouped-experts.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';

const glm4MoeKeys = {
  ...decoderKeys,
  ...noWindows,
  ...groupedExpertKeys({ width: 1408, experts: 128, perToken: 8, groups: 1, chosenGroups: 1, factor: 1 }),
  ...sizeKeys({
    vocab_size: 151552,
    hidden_size: 4096,
    intermediate_size: 10944,
    num_hidden_layers: 46,
    num_attention_heads: 96,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(8),
  rms_norm_eps: epsilon(1e-5),
  attention_bias: biased,
  use_qk_norm: computed(z.boolean().default(false)),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  first_k_dense_replace: plainBlocks(1),
  ...refusedUnless([false], 'mlp_bias', 'use_sliding_window'),
  ...refused('num_local_experts'),
} as const satisfies KeyTable;

export const glm4Moe = familyOf({
  family: 'glm4_moe',
  keys: glm4MoeKeys,
  rope: { isPartial: true },
  defaults: () => ({ partial_rotary_factor: 0.5 }),
  own: c => ({
    biases: { qkv: c.attention_bias, output: false },
    windows: everywhere(c, undefined),
    ...(c.use_qk_norm && { innerNorms: 'heads' }),
    experts: groupedExperts(c, afterPlain(c, c.first_k_dense_replace)),
    problems: groupProblems(c),
  }),
});
