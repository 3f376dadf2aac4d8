/** HunYuan without experts: heads are normalized after rotation, and a fixed factor stretches its base for long texts. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { hunYuanNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const hunYuanKeys = {
  ...decoderKeys,
  ...noWindows,
  vocab_size: computed(size(2 ** 20).default(290943)),
  hidden_size: computed(size(65536).default(4096)),
  intermediate_size: computed(size(262144).default(11008)),
  num_hidden_layers: computed(size(512).default(32)),
  num_attention_heads: computed(size(1024).default(32)),
  num_key_value_heads: headCount(null),
  max_position_embeddings: computed(size(2 ** 24).default(2048)),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  pad_token_id: computed(z.number().int().nullish().default(0)),
  attention_bias: biased,
  ...refusedUnless([false], 'mlp_bias', 'use_sliding_window'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
  ...withoutEffect('is a token that texts are prepared with', 'eod_token_id'),
} as const satisfies KeyTable;

export const hunYuan = familyOf({
  family: 'hunyuan_v1_dense',
  names: hunYuanNames,
  keys: hunYuanKeys,
  rope: { stretchesBase: true },
  own: c => ({ biases: alike(c.attention_bias), innerNorms: 'rotated heads', windows: everywhere(c, undefined) }),
});
