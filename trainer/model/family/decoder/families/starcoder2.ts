/** StarCoder2 (Lozhkov et al. 2024): Mistral's windows with layer norms, biases, and MLPs without gates. */

import { z } from 'zod';
import { computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, epsilon, rate } from '../../common-keys.ts';
import { starcoderNames } from '../blocks/names.ts';
import { decoderKeys, headCount, sameTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const starcoder2Keys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 49152,
    hidden_size: 3072,
    intermediate_size: 12288,
    num_hidden_layers: 30,
    num_attention_heads: 24,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(2),
  norm_epsilon: epsilon(1e-5),
  hidden_act: activation('gelu_pytorch_tanh'),
  use_bias: computed(z.boolean().default(true)),
  sliding_window: computed(z.number().int().positive().nullish()),
  layer_types: sameTypes,
  residual_dropout: computed(rate.default(0)),
  embedding_dropout: computed(rate.default(0)),
  tie_word_embeddings: computed(z.boolean().default(true)),
  // The code of the first files reads these; Transformers computes one value of each.
  ...refusedUnless(['default'], 'mlp_type'),
  ...refusedUnless(['layer_norm'], 'norm_type'),
  ...refused('attention_chunk_size'),
  ...withoutEffect('is not read: use_bias counts', 'attention_bias', 'mlp_bias'),
  ...withoutEffect('is not read: norm_epsilon counts', 'rms_norm_eps', 'layer_norm_epsilon'),
  ...withoutEffect('is not read: hidden_act counts', 'activation_function'),
  ...withoutEffect('is not read: sliding_window counts', 'use_sliding_window'),
  ...withoutEffect('is not read', 'attention_softmax_in_fp32', 'scale_attention_softmax_in_fp32', 'scale_attn_weights'),
} as const satisfies KeyTable;

export const starcoder2 = familyOf({
  family: 'starcoder2',
  names: starcoderNames,
  keys: starcoder2Keys,
  own: c => ({
    biases: alike(c.use_bias),
    mlpBias: c.use_bias,
    windows: everywhere(c, c.sliding_window ?? undefined),
    norms: { epsilon: c.norm_epsilon, offset: 0, centered: true, shifted: true },
    embeddingDropout: c.embedding_dropout,
    residualDropout: c.residual_dropout,
  }),
});
