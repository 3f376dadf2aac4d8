/** Arcee: Llama, but MLPs have no gate and square a ReLU. */

import { type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { activation, epsilon } from '../../common-keys.ts';
import { arceeNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const arceeKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 32000,
    hidden_size: 2560,
    intermediate_size: 18432,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 4096,
  }),
  num_key_value_heads: headCount(null),
  rms_norm_eps: epsilon(1e-5),
  hidden_act: activation('relu2'),
  attention_bias: biased,
  mlp_bias: biased,
  ...refusedUnless([false], 'use_sliding_window'),
} as const satisfies KeyTable;

export const arcee = familyOf({
  family: 'arcee',
  names: arceeNames,
  keys: arceeKeys,
  own: c => ({ biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: everywhere(c, undefined) }),
});
