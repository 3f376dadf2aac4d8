/** Apertus: Llama with normalized heads, and MLPs that have no gate and an activation with numbers of its own. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { apertusNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const apertusKeys = {
  ...decoderKeys,
  ...noWindows,
  vocab_size: computed(size(2 ** 20).default(131072)),
  hidden_size: computed(size(65536).default(4096)),
  intermediate_size: computed(size(262144).default(14336)),
  num_hidden_layers: computed(size(512).default(32)),
  num_attention_heads: computed(size(1024).default(32)),
  num_key_value_heads: headCount(null),
  max_position_embeddings: computed(size(2 ** 24).default(65536)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  pad_token_id: computed(z.number().int().nullish().default(3)),
  hidden_act: computed(z.string().default('xielu'), ['xielu']),
  attention_bias: biased,
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('is not read: heads have norms, MLPs have no biases, and norms stand before them', 'qk_norm', 'mlp_bias', 'post_norm'),
  ...withoutEffect('is not read: nothing is dropped behind attention and MLPs', 'hidden_dropout'),
} as const satisfies KeyTable;

/** Transformers' default for a config without positions. */
const ROPE = {
  ...{ rope_type: 'llama3', rope_theta: 12e6, factor: 8, original_max_position_embeddings: 8192 },
  ...{ low_freq_factor: 1, high_freq_factor: 4 },
} as const;

export const apertus = familyOf({
  family: 'apertus',
  names: apertusNames,
  keys: apertusKeys,
  rope: { theta: 12e6 },
  defaults: ({ rope_scaling: older, rope_parameters: newer }) => (older || newer ? {} : { rope_parameters: ROPE }),
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'heads', windows: everywhere(c, undefined) }),
});
