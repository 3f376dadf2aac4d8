/** Qwen 2 and 3: a window for some blocks, enabled by a switch; Qwen 3 normalizes its heads. */

import { type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { biased, decoderKeys, headCount, switchedWindow } from '../keys/decoder-keys.ts';
import { switchedWindows } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const qwen2Keys = {
  ...decoderKeys,
  ...switchedWindow,
  num_key_value_heads: headCount(32),
  ...refusedUnless([true], 'attention_bias'),
  ...refusedUnless([false], 'mlp_bias', 'use_mrope'),
} as const satisfies KeyTable;

export const qwen2 = familyOf({
  family: 'qwen2',
  keys: qwen2Keys,
  own: c => ({ biases: { qkv: true, output: false }, windows: switchedWindows(c) }),
});

const qwen3Keys = {
  ...decoderKeys,
  ...switchedWindow,
  num_key_value_heads: headCount(32),
  head_dim: headCount(128),
  attention_bias: biased,
  ...refusedUnless([false], 'mlp_bias'),
} as const satisfies KeyTable;

export const qwen3 = familyOf({
  family: 'qwen3',
  keys: qwen3Keys,
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'heads', windows: switchedWindows(c) }),
});
