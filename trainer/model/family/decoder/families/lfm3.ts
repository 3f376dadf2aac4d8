/** LFM3: LFM2 with a norm after each part of a block, gated heads, and rotary positions and windows that depend on the type of the block. */

import { z } from 'zod';
import type { ConfigJson } from '../../../config-json.ts';
import { type ConfigValues, computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { rate, size } from '../../common-keys.ts';
import { lfm3Names } from '../blocks/lfm-names.ts';
import { biased, headCount, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { type LayerType, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { lfm2Blocks, lfm2SharedKeys } from './lfm2.ts';

const NOT_READ = 'is not read by Transformers either';

const lfm3Keys = {
  ...lfm2SharedKeys,
  ...sizeKeys({ vocab_size: 128000, hidden_size: 2048, intermediate_size: 7680, num_hidden_layers: 24, num_attention_heads: 16 }),
  num_key_value_heads: headCount(4),
  head_dim: computed(size(1024).default(128)),
  pad_token_id: paddingId(124893),
  conv_L_cache: computed(z.number().int().min(2).max(64).default(7)),
  attention_bias: biased,
  attention_dropout: computed(rate.nullish().default(0)),
  sliding_window: computed(z.number().int().positive().nullish().default(256)),
  layer_types: computed(
    z
      .array(z.enum(['full_attention', 'sliding_attention', 'conv']))
      .max(512)
      .nullish(),
  ),
  // An alias, which takes precedence over `norm_eps`.
  rms_norm_eps: computed(z.number().positive().max(1).nullish()),
  use_attention_gate: computed(z.boolean().default(true)),
  ...refusedUnless([true], 'use_sandwich_norm'),
  ...withoutEffect(`${NOT_READ}: tie_word_embeddings counts`, 'tie_embedding'),
  ...withoutEffect(`${NOT_READ}: rope_parameters counts`, 'rope_theta', 'rope_scaling', 'partial_rotary_factor'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof lfm3Keys>;

/** The default of Transformers for a config without `rope_parameters`. */
const POSITIONS = {
  sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
  full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.5, rope_theta: 1e6 },
} as const;

const lfm3Defaults = ({ rope_parameters: given }: ConfigJson): ConfigJson => (given ? {} : { rope_parameters: POSITIONS });

/** The default type of a block: the third of every four has full attention, and the first, except block 0, a window. */
const usualType = (layer: number): LayerType | 'conv' => {
  if (layer % 4 === 2) return 'full_attention';
  return layer % 4 === 0 && layer > 0 ? 'sliding_attention' : 'conv';
};

const typesOf = (c: Config): (LayerType | 'conv')[] =>
  c.layer_types ?? Array.from({ length: c.num_hidden_layers }, (_, layer) => usualType(layer));

/** Reports types of attention without a record: Transformers has no default base for them. */
const positionProblems = ({ rope_parameters: records }: Config, types: readonly string[]): ConfigProblem[] =>
  [...new Set(types)]
    .filter(type => type !== 'conv' && records && !records[type])
    .map(type => contradiction('rope_parameters', `rope_parameters has no record for the layers of the type "${type}"`));

export const lfm3 = familyOf({
  family: 'lfm3',
  names: lfm3Names,
  keys: lfm3Keys,
  defaults: lfm3Defaults,
  own: c => {
    const types = typesOf(c);
    const attending = types.map((type): LayerType => (type === 'conv' ? 'full_attention' : type));
    return {
      ...lfm2Blocks(c, layer => types[layer] === 'conv'),
      biases: alike(c.attention_bias),
      norms: { epsilon: c.rms_norm_eps ?? c.norm_eps, offset: 0 },
      windows: windowsOf(c, attending),
      ...(c.use_attention_gate && { gated: 'heads' }),
      tied: c.tie_word_embeddings,
      ropesByType: { types: attending, thetas: { full_attention: 1e6, sliding_attention: 1e6 } },
      usesRope: types.map(type => type !== 'conv'),
      problems: positionProblems(c, types),
    };
  },
});
