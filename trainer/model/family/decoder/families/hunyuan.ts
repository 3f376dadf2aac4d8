/** HunYuan without experts: heads are normalized after rotation, and a fixed factor stretches its base for long texts. */

import { type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { hunYuanNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const hunYuanKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 290943,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
  }),
  num_key_value_heads: headCount(null),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(0),
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
