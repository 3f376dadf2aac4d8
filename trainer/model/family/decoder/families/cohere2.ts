/**
 * Cohere (Command R, Aya): attention and MLP read the same norm in parallel. In Cohere 2, blocks with global attention apply no RoPE, and
 * others have a window.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { cohereNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, listedTypes, noWindows, paddingId, sizeKeys, windowSize } from '../keys/decoder-keys.ts';
import { everywhere, layerTypes, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

export const cohere2Keys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 256000,
    hidden_size: 8192,
    intermediate_size: 22528,
    num_hidden_layers: 40,
    num_attention_heads: 64,
    max_position_embeddings: 8192,
  }),
  num_key_value_heads: headCount(null),
  layer_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(0),
  tie_word_embeddings: computed(z.boolean().default(true)),
  attention_bias: biased,
  logit_scale: computed(z.number().positive().default(0.0625)),
  sliding_window: windowSize,
  sliding_window_pattern: computed(z.number().int().positive().max(512).nullish().default(4)),
  layer_types: listedTypes,
  ...withoutEffect('is not read: layer_norm_eps counts', 'rms_norm_eps'),
  ...withoutEffect('says how keys and values are cached', 'cache_implementation'),
  ...withoutEffect('is not read: layer_types and sliding_window count', 'use_sliding_window'),
  ...refusedUnless([false], 'mlp_bias', 'use_qk_norm'),
  ...refusedUnless([true], 'use_gated_activation', 'use_embedding_sharing', 'use_parallel_block', 'use_parallel_embedding'),
  ...refusedUnless(['rope_gptj'], 'position_embedding_type'),
  ...refusedUnless([1], 'rotary_pct'),
  ...refused('attention_chunk_size'),
} as const satisfies KeyTable;

const { sliding_window: _, sliding_window_pattern: __, layer_types: ___, ...shared } = cohere2Keys;
const cohereKeys = { ...shared, ...noWindows, ...refused('sliding_window_pattern') } as const satisfies KeyTable;

/** Properties of both families. */
const alikeOf = (c: ConfigValues<typeof cohereKeys>) =>
  ({
    biases: alike(c.attention_bias),
    norms: { epsilon: c.layer_norm_eps, offset: 0, centered: true },
    rotatesNeighbors: true,
    sideBySide: true,
    multipliers: { logitMultiplier: c.logit_scale },
  }) as const;

export const cohere = familyOf({
  family: 'cohere',
  names: cohereNames,
  keys: cohereKeys,
  rope: { theta: 500_000 },
  own: c => ({ ...alikeOf(c), windows: everywhere(c, undefined) }),
});

export const cohere2 = familyOf({
  family: 'cohere2',
  names: cohereNames,
  keys: cohere2Keys,
  own: c => {
    const types = layerTypes(c, c.sliding_window_pattern ?? 4);
    return { ...alikeOf(c), windows: windowsOf(c, types), usesRope: types.map(type => type === 'sliding_attention') };
  },
});
