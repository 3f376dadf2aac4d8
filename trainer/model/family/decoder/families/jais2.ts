/** Jais 2: Llama with layer norms and biases, whose MLPs have no gate and square a ReLU. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, epsilon } from '../../common-keys.ts';
import { arceeNames } from '../blocks/names.ts';
import { decoderKeys, headCount, noWindows, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const hasBias = computed(z.boolean().default(true));

const jais2Keys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 150272,
    hidden_size: 3328,
    intermediate_size: 26624,
    num_hidden_layers: 32,
    num_attention_heads: 26,
    max_position_embeddings: 8192,
  }),
  num_key_value_heads: headCount(null),
  layer_norm_eps: epsilon(1e-5),
  hidden_act: activation('relu2'),
  attention_bias: hasBias,
  mlp_bias: hasBias,
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('is not read: layer_norm_eps counts', 'rms_norm_eps'),
} as const satisfies KeyTable;

export const jais2 = familyOf({
  family: 'jais2',
  names: arceeNames,
  keys: jais2Keys,
  own: c => ({
    biases: alike(c.attention_bias),
    mlpBias: c.mlp_bias,
    windows: everywhere(c, undefined),
    norms: { epsilon: c.layer_norm_eps, offset: 0, centered: true, shifted: true },
  }),
});
