/** ERNIE 4.5: Llama, but neighboring features rotate in pairs, and one key adds biases to all layers of a block. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const ernieKeys = {
  ...decoderKeys,
  ...noWindows,
  vocab_size: computed(size(2 ** 20).default(103424)),
  hidden_size: computed(size(65536).default(1024)),
  intermediate_size: computed(size(262144).default(3072)),
  num_hidden_layers: computed(size(512).default(18)),
  num_attention_heads: computed(size(1024).default(16)),
  num_key_value_heads: headCount(2),
  head_dim: headCount(128),
  max_position_embeddings: computed(size(2 ** 24).default(131072)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  pad_token_id: computed(z.number().int().nullish().default(0)),
  tie_word_embeddings: computed(z.boolean().default(true)),
  use_bias: biased,
  ...withoutEffect('is not read: nothing is dropped', 'attention_dropout'),
  ...refusedUnless([false], 'attention_bias', 'mlp_bias', 'use_sliding_window'),
} as const satisfies KeyTable;

export const ernie = familyOf({
  family: 'ernie4_5',
  keys: ernieKeys,
  rope: { theta: 5e5 },
  own: c => ({ biases: alike(c.use_bias), mlpBias: c.use_bias, windows: everywhere(c, undefined), rotatesNeighbors: true }),
});
