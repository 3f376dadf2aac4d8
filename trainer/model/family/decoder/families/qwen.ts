/** Qwen 2 and 3: a window for some blocks, enabled by a switch; Qwen 3 normalizes its heads. Qwen3-VL's text part has no windows. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
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

export const qwen25VlKeys = {
  ...qwen2Keys,
  num_key_value_heads: headCount(8),
  rms_norm_eps: epsilon(1e-5),
  max_window_layers: computed(z.number().int().nonnegative().default(80)),
  ...withoutEffect(
    'is of images, for which the keys next to text_config apply',
    ...(['image_token_id', 'video_token_id', 'vision_token_id', 'vision_start_token_id', 'vision_end_token_id'] as const),
  ),
} as const satisfies KeyTable;

/** The text part of Qwen2-VL and Qwen2.5-VL. */
export const qwen25Vl = familyOf({
  family: 'qwen2_5_vl',
  keys: qwen25VlKeys,
  rope: { theta: 1e6, aliases: { mrope: 'default' }, grid: { sections: [16, 24, 24], isInterleaved: false } },
  own: c => ({ biases: { qkv: true, output: false }, windows: switchedWindows(c) }),
});

const qwen3VlKeys = {
  ...decoderKeys,
  num_key_value_heads: headCount(32),
  head_dim: headCount(128),
  attention_bias: biased,
} as const satisfies KeyTable;

/** How heads of Qwen3-VL rotate. */
export const QWEN3_VL_ROPE = { theta: 500_000, grid: { sections: [24, 20, 20], isInterleaved: true } } as const;

export const qwen3Vl = familyOf({
  family: 'qwen3_vl',
  keys: qwen3VlKeys,
  rope: QWEN3_VL_ROPE,
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'heads', windows: everywhere(c, undefined) }),
});
