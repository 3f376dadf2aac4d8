/** Phi-3: one matrix for queries, keys and values, and one for gate and up; possibly only the first features of a head rotate. */

import { z } from 'zod';
import { computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, rate } from '../../common-keys.ts';
import { phi3Names } from '../blocks/names.ts';
import { decoderKeys, headCount, paddingId, sameTypes } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const phi3Keys = {
  ...decoderKeys,
  num_key_value_heads: headCount(null),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(32000),
  sliding_window: computed(z.number().int().positive().nullish()),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  resid_pdrop: computed(rate.default(0)),
  ...withoutEffect('drops nothing in Transformers either', 'embd_pdrop'),
  layer_types: sameTypes,
  ...refusedUnless([false], 'attention_bias', 'mlp_bias'),
  ...refused('attention_chunk_size'),
} as const satisfies KeyTable;

export const phi3 = familyOf({
  family: 'phi3',
  names: phi3Names,
  keys: phi3Keys,
  rope: { types: ['default', 'longrope'], aliases: { su: 'longrope', yarn: 'longrope' }, isPartial: true },
  defaults: () => ({ original_max_position_embeddings: 4096 }),
  own: c => ({ biases: alike(false), windows: everywhere(c, c.sliding_window ?? undefined), residualDropout: c.resid_pdrop }),
});
