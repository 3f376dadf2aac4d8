/** Phi (Gunasekar et al. 2023): layer norms, biases in every layer and in the head, and attention next to an MLP without a gate. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, epsilon, rate } from '../../common-keys.ts';
import { phiNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const phiKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 51200,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 24,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
  }),
  num_key_value_heads: headCount(null),
  layer_norm_eps: epsilon(1e-5),
  hidden_act: activation('gelu_new'),
  partial_rotary_factor: computed(z.number().positive().max(1).optional()),
  qk_layernorm: biased,
  embd_pdrop: computed(rate.default(0)),
  resid_pdrop: computed(rate.default(0)),
  // A tied head would have a bias next to the embedding.
  ...refusedUnless([false], 'tie_word_embeddings'),
  ...refusedUnless([true], 'attention_bias', 'mlp_bias'),
  ...withoutEffect('is not read: layer_norm_eps counts', 'rms_norm_eps'),
} as const satisfies KeyTable;

export const phi = familyOf({
  family: 'phi',
  names: phiNames,
  keys: phiKeys,
  rope: { isPartial: true },
  defaults: () => ({ partial_rotary_factor: 0.5 }),
  own: c => ({
    biases: alike(true),
    mlpBias: true,
    headBias: true,
    tied: false,
    windows: everywhere(c, undefined),
    norms: { epsilon: c.layer_norm_eps, offset: 0, centered: true, shifted: true },
    ...(c.qk_layernorm && { innerNorms: 'heads' as const }),
    sideBySide: true,
    embeddingDropout: c.embd_pdrop,
    residualDropout: c.resid_pdrop,
  }),
});
