/** Llama, and the many models by other makers with the same architecture. */

import { type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const llamaKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
  ...noWindows,
  ...refusedUnless([false], 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

export const llama = familyOf({
  family: 'llama',
  keys: llamaKeys,
  own: c => ({ biases: alike(c.attention_bias), mlpBias: c.mlp_bias, windows: everywhere(c, undefined) }),
});
