/** Nemotron and Minitron: Llama with layer norms whose weights count from 1, half of each head rotates, and MLPs square a ReLU. */

import { z } from 'zod';
import { computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { activation, epsilon } from '../../common-keys.ts';
import { arceeNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, same, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const nemotronKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 256000,
    hidden_size: 6144,
    intermediate_size: 24576,
    num_hidden_layers: 32,
    num_attention_heads: 48,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(null),
  norm_eps: epsilon(1e-5),
  hidden_act: activation('relu2'),
  partial_rotary_factor: computed(z.number().positive().max(1).optional()),
  attention_bias: biased,
  mlp_bias: biased,
  // Names that files for other programs give the same share.
  rope_pct: same(({ partial_rotary_factor: share }) => share),
  rope_percent: same(({ partial_rotary_factor: share }) => share),
  ...withoutEffect('is not read: norm_eps counts', 'rms_norm_eps'),
} as const satisfies KeyTable;

export const nemotron = familyOf({
  family: 'nemotron',
  names: arceeNames,
  keys: nemotronKeys,
  rope: { isPartial: true },
  defaults: () => ({ partial_rotary_factor: 0.5 }),
  own: c => ({
    biases: alike(c.attention_bias),
    mlpBias: c.mlp_bias,
    windows: everywhere(c, undefined),
    norms: { epsilon: c.norm_eps, offset: 1, centered: true, shifted: true },
  }),
});
