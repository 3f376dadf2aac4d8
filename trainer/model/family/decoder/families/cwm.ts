/** CWM (Meta 2025): Llama, but three of four blocks have a window. */

import { z } from 'zod';
import type { ConfigJson } from '../../../config-json.ts';
import { computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { decoderKeys, headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { typesOf, windowsOf } from '../keys/layers.ts';
import { ropeUnlessGiven } from '../keys/rope-config.ts';
import { alike, familyOf } from './family.ts';

const cwmKeys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 128256,
    hidden_size: 6144,
    intermediate_size: 21504,
    num_hidden_layers: 64,
    num_attention_heads: 48,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(8),
  head_dim: headCount(128),
  rms_norm_eps: epsilon(1e-5),
  sliding_window: computed(z.number().int().positive().nullish().default(8192)),
  layer_types: listedTypes,
  mlp_bias: computed(z.boolean().default(false)),
  ...refusedUnless([false], 'attention_bias'),
  ...refused('attention_chunk_size'),
  ...withoutEffect('says how the same products are split', 'pretraining_tp'),
} as const satisfies KeyTable;

/** The positions of a model whose config does not state them, as in Transformers. */
const CWM_POSITIONS: ConfigJson = {
  ...{ rope_type: 'llama3', rope_theta: 1_000_000, factor: 16, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 8192,
};

export const cwm = familyOf({
  family: 'cwm',
  rope: { theta: 1_000_000 },
  defaults: ropeUnlessGiven(CWM_POSITIONS),
  keys: cwmKeys,
  own: c => ({
    biases: alike(false),
    mlpBias: c.mlp_bias,
    windows: windowsOf(
      c,
      typesOf(c, layer => layer % 4 === 0),
    ),
  }),
});
