/** Apertus: Llama with normalized heads, and MLPs that have no gate and an activation with numbers of its own. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { apertusNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { ropeUnlessGiven } from '../keys/rope-config.ts';
import { alike, familyOf } from './family.ts';

const apertusKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 131072,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 65536,
  }),
  num_key_value_heads: headCount(null),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(3),
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
  defaults: ropeUnlessGiven(ROPE),
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'heads', windows: everywhere(c, undefined) }),
});
