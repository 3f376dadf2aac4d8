/** Youtu-LLM: the latent attention of DeepSeek-V3 with plain MLPs. */

import { z } from 'zod';
import { computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { headCount, sizeKeys } from '../keys/decoder-keys.ts';
import { latentBlocks, latentKeys, ropeDimDefault } from './deepseek.ts';
import { familyOf } from './family.ts';

const youtuKeys = {
  ...latentKeys,
  ...sizeKeys({
    vocab_size: 128256,
    hidden_size: 2048,
    intermediate_size: 6144,
    num_hidden_layers: 32,
    num_attention_heads: 16,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(16),
  tie_word_embeddings: computed(z.boolean().default(true)),
  ...withoutEffect('gives the start values of a new model', 'embedding_initializer_range'),
} as const satisfies KeyTable;

export const youtu = familyOf({
  family: 'youtu',
  keys: youtuKeys,
  defaults: ropeDimDefault(64),
  own: c => latentBlocks(c, ['qk_rope_head_dim', c.qk_rope_head_dim]),
});
