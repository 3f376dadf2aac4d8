/**
 * Granite with sliding windows: a sink in every head, and a rotary base for each block, where 0 means no rotation; with one MLP in each block,
 * or with experts.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused } from '../../../config-keys.ts';
import { epsilon } from '../../common-keys.ts';
import { graniteSwaExperts } from '../blocks/expert-names.ts';
import { headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { type LayerType, windowsOf } from '../keys/layers.ts';
import { familyOf } from './family.ts';
import { graniteKeys, graniteOwn, graniteSharedKeys, graniteSharedOwn } from './granite.ts';

const windowKeys = {
  sliding_window: computed(z.number().int().positive().nullish().default(128)),
  layer_types: listedTypes,
  layer_rope_theta: computed(z.array(z.number().nonnegative()).max(512).nullish()),
  ...refused('attention_chunk_size'),
} as const;

const graniteSwaKeys = {
  ...graniteKeys,
  ...sizeKeys({
    vocab_size: 100352,
    hidden_size: 2560,
    intermediate_size: 8192,
    num_hidden_layers: 24,
    num_attention_heads: 20,
    max_position_embeddings: 8192,
  }),
  num_key_value_heads: headCount(4),
  rms_norm_eps: epsilon(1e-5),
  tie_word_embeddings: computed(z.boolean().default(true)),
  ...windowKeys,
} as const satisfies KeyTable;

/** The first of every four blocks has full attention if no list says otherwise. */
function windowed(c: ConfigValues<typeof windowKeys> & { readonly num_hidden_layers: number }) {
  const usual = (layer: number): LayerType => (layer % 4 === 0 ? 'full_attention' : 'sliding_attention');
  const types = Array.from({ length: c.num_hidden_layers }, (_, layer) => c.layer_types?.[layer] ?? usual(layer));
  return {
    sinks: true,
    windows: windowsOf(c, types),
    ...(c.layer_rope_theta && { thetas: c.layer_rope_theta, usesRope: c.layer_rope_theta.map(theta => theta > 0) }),
  };
}

export const graniteSwa = familyOf({
  family: 'granite_swa',
  keys: graniteSwaKeys,
  own: c => ({ ...graniteOwn(c), ...windowed(c) }),
});

export const graniteMoeSwa = familyOf({
  family: 'granitemoe_swa',
  keys: { ...graniteSharedKeys, ...windowKeys },
  own: c => ({ ...graniteSharedOwn(c, graniteSwaExperts), ...windowed(c) }),
});
