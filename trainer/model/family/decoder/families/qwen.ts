/** Qwen 2 and 3: a window for some blocks, enabled by a switch; Qwen 3 normalizes its heads. Qwen3-VL's text part has no windows. */

import { type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { biased, decoderKeys, headCount, switchedWindow } from '../keys/decoder-keys.ts';
import { everywhere, switchedWindows } from '../keys/layers.ts';
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

const qwen3VlKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(32),
  head_dim: headCount(128),
  attention_bias: biased,
} as const satisfies KeyTable;

export const qwen3Vl = familyOf({
  family: 'qwen3_vl',
  keys: qwen3VlKeys,
  rope: { theta: 500_000, grid: { sections: [24, 20, 20], isInterleaved: true } },
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'heads', windows: everywhere(c, undefined) }),
});
