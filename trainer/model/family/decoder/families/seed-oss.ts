/** Seed-OSS: Llama with biases on queries, keys and values, and dropout after attention and MLP. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { rate } from '../../common-keys.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';

const seedOssKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 155136,
    hidden_size: 4096,
    intermediate_size: 27648,
    num_hidden_layers: 64,
    num_attention_heads: 80,
    max_position_embeddings: 524288,
  }),
  num_key_value_heads: headCount(8),
  head_dim: headCount(128),
  pad_token_id: paddingId(1),
  attention_bias: computed(z.boolean().default(true)),
  attention_out_bias: biased,
  mlp_bias: biased,
  attention_dropout: computed(rate.nullish().default(0.1)),
  residual_dropout: computed(rate.default(0.1)),
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

export const seedOss = familyOf({
  family: 'seed_oss',
  keys: seedOssKeys,
  own: c => ({
    biases: { qkv: c.attention_bias, output: c.attention_out_bias },
    mlpBias: c.mlp_bias,
    windows: everywhere(c, undefined),
    residualDropout: c.residual_dropout,
  }),
});
