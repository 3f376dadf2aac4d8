/** GPT-NeoX (Black et al. 2022) and Pythia: layer norms with shifts, a part of each head rotates, and attention may run next to the MLP. */

import { z } from 'zod';
import type { ConfigJson } from '../../../config-json.ts';
import { computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { activation, epsilon, rate } from '../../common-keys.ts';
import { gptNeoXNames } from '../blocks/names.ts';
import { decoderKeys, impliedHeadDim, noWindows, same, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const share = z.number().positive().max(1);

/** The names that GPT-NeoX's configs have for the base and the share of positions; those in a record take precedence. */
const ropeDefaults = ({ rotary_emb_base: base, rotary_pct: part }: ConfigJson): ConfigJson => ({
  rope_theta: base ?? 10000,
  partial_rotary_factor: part ?? 0.25,
});

const gptNeoXKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 50432,
    hidden_size: 6144,
    intermediate_size: 24576,
    num_hidden_layers: 44,
    num_attention_heads: 64,
    max_position_embeddings: 2048,
  }),
  layer_norm_eps: epsilon(1e-5),
  hidden_act: activation('gelu'),
  hidden_dropout: computed(rate.default(0)),
  attention_bias: computed(z.boolean().default(true)),
  use_parallel_residual: computed(z.boolean().default(true)),
  rotary_pct: computed(share.nullish()),
  rotary_emb_base: computed(z.number().positive().nullish()),
  head_dim: impliedHeadDim,
  rope_theta: same(config => ropeDefaults(config).rope_theta),
  partial_rotary_factor: same(config => ropeDefaults(config).partial_rotary_factor),
  ...withoutEffect('is not read: each head has its own keys and values', 'num_key_value_heads'),
  ...withoutEffect('is not read: layer_norm_eps counts', 'rms_norm_eps'),
  ...withoutEffect('is not read: hidden_dropout and attention_dropout count', 'hidden_dropout_prob', 'attention_probs_dropout_prob'),
} as const satisfies KeyTable;

export const gptNeoX = familyOf({
  family: 'gpt_neox',
  names: gptNeoXNames,
  keys: gptNeoXKeys,
  rope: { isPartial: true },
  defaults: ropeDefaults,
  own: c => ({
    biases: alike(c.attention_bias),
    mlpBias: true,
    windows: everywhere(c, undefined),
    norms: { epsilon: c.layer_norm_eps, offset: 0, centered: true, shifted: true },
    joinsByHead: true,
    sideBySide: c.use_parallel_residual,
    embeddingDropout: c.hidden_dropout,
    residualDropout: c.hidden_dropout,
    trainsPadding: true,
  }),
});
