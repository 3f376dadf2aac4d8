/** Mistral and Ministral: a window in all blocks or in some. */

import { z } from 'zod';
import { computed, type KeyTable, refused, refusedUnless } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import { decoderKeys, headCount, listedTypes, paddingId, sameTypes, sizeKeys, windowSize } from '../keys/decoder-keys.ts';
import { everywhere, type LayerType, windowsOf } from '../keys/layers.ts';
import { ropeUnlessGiven } from '../keys/rope-config.ts';
import { alike, familyOf } from './family.ts';

const mistralKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(8),
  sliding_window: windowSize,
  layer_types: sameTypes,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
} as const satisfies KeyTable;

export const mistral = familyOf({
  family: 'mistral',
  keys: mistralKeys,
  own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined) }),
});

const ministralKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(8),
  sliding_window: windowSize,
  layer_types: listedTypes,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
} as const satisfies KeyTable;

export const ministral = familyOf({
  family: 'ministral',
  keys: ministralKeys,
  own: c => {
    const usual = everywhere<LayerType>(c, c.sliding_window === null ? 'full_attention' : 'sliding_attention');
    return { biases: alike(false), windows: windowsOf(c, c.layer_types ?? usual) };
  },
});

const ministral3Keys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 131072,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 34,
    num_attention_heads: 32,
    max_position_embeddings: 262144,
  }),
  num_key_value_heads: headCount(8),
  head_dim: computed(size(1024).nullish().default(128)),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(11),
  sliding_window: computed(z.number().int().positive().nullish()),
  layer_types: sameTypes,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
  ...refused('attention_chunk_size'),
} as const satisfies KeyTable;

/** Transformers' positions for a config without them, except for their base, factor and length. */
export const mistralYarn = {
  rope_type: 'yarn',
  beta_fast: 32,
  beta_slow: 1,
  mscale: 1,
  mscale_all_dim: 1,
  llama_4_scaling_beta: 0.1,
} as const;

export const ministral3 = familyOf({
  family: 'ministral3',
  keys: ministral3Keys,
  rope: { growsQueries: true },
  defaults: ropeUnlessGiven({ ...mistralYarn, rope_theta: 1e6, factor: 16, original_max_position_embeddings: 16384 }),
  own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined) }),
});
