/** GLM: half of each head rotates, in pairs of neighboring features; GLM-4 has additional norms after attention and MLP. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { glm4Names, glmNames } from '../blocks/names.ts';
import { decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { familyOf } from './family.ts';

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
