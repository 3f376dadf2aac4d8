/**
 * GLM: half of each head rotates, in pairs of neighboring features; GLM-4 has additional norms after attention and MLP. The text parts of
 * GLM-4V and GLM-OCR are GLM-4's, with positions in two dimensions.
 */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import { glm4Names, glmNames } from '../blocks/names.ts';
import { decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const glmKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 151552,
    hidden_size: 4096,
    intermediate_size: 13696,
    num_hidden_layers: 40,
    num_attention_heads: 32,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(2),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1.5625e-7),
  pad_token_id: paddingId(151329),
  attention_bias: computed(z.boolean().default(true)),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  ...refusedUnless([false], 'mlp_bias', 'use_sliding_window'),
} as const satisfies KeyTable;

const shared = {
  keys: glmKeys,
  rope: { isPartial: true },
  defaults: () => ({ partial_rotary_factor: 0.5 }),
} as const;

export const glm = familyOf({
  ...{ family: 'glm', names: glmNames, ...shared },
  own: c => ({ biases: { qkv: c.attention_bias, output: false }, windows: everywhere(c, undefined), rotatesNeighbors: true }),
});

export const glm4 = familyOf({ ...glm, family: 'glm4', names: glm4Names });

const seeingKeys = {
  ...glmKeys,
  rms_norm_eps: epsilon(1e-5),
  max_position_embeddings: computed(z.number().int().positive().default(32768)),
  pad_token_id: decoderKeys.pad_token_id,
  ...withoutEffect('is not read by Transformers: queries, keys and values have biases in GLM-4V, and none in GLM-OCR', 'attention_bias'),
  ...withoutEffect('is of layers that guess further tokens, which are not used', 'num_nextn_predict_layers'),
  ...withoutEffect(
    'is of images, for which the keys next to text_config apply',
    ...([
      'image_token_id',
      'video_token_id',
      'image_start_token_id',
      'image_end_token_id',
      'video_start_token_id',
      'video_end_token_id',
    ] as const),
  ),
} as const satisfies KeyTable;

const glm4vKeys = {
  ...seeingKeys,
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size ?? 4096) / Number(c.num_attention_heads ?? 32)] },
} as const satisfies KeyTable;

const glmOcrKeys = {
  ...seeingKeys,
  ...sizeKeys({
    vocab_size: 59392,
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(8),
  head_dim: computed(size(1024).nullish()),
} as const satisfies KeyTable;

const seeing = {
  names: glm4Names,
  rope: { isPartial: true, grid: { sections: [8, 12, 12], isInterleaved: false } },
} as const;

export const glm4v = familyOf({
  ...{ family: 'glm4v', ...seeing, keys: glm4vKeys },
  own: c => ({ biases: { qkv: true, output: false }, windows: everywhere(c, undefined), rotatesNeighbors: true }),
});

export const glmOcr = familyOf({
  ...{ family: 'glm_ocr', ...seeing, keys: glmOcrKeys },
  own: c => ({ biases: alike(false), windows: everywhere(c, undefined), rotatesNeighbors: true }),
});
