/**
 * OLMo Hybrid: three of four blocks have a recurrent state in place of attention. Norms stand before the parts of these blocks, and after
 * those of blocks with attention, as in OLMo 3.
 */

import { z } from 'zod';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  refused,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import type { DecoderDelta } from '../blocks/delta.ts';
import { olmoHybridNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { hasRopeBase } from '../keys/rope-config.ts';
import { alike, familyOf } from './family.ts';

const types = ['linear_attention', 'full_attention'] as const;

const olmoHybridKeys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 100352,
    hidden_size: 3840,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 30,
    max_position_embeddings: 65536,
  }),
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  pad_token_id: paddingId(100277),
  layer_types: computed(z.array(z.enum(types)).max(512).nullish()),
  linear_num_key_heads: headCount(null),
  linear_num_value_heads: headCount(null),
  linear_key_head_dim: headCount(null),
  linear_value_head_dim: headCount(null),
  linear_conv_kernel_dim: computed(z.number().int().min(2).max(64).default(4)),
  linear_allow_neg_eigval: computed(z.boolean().default(true)),
  ...refusedUnless([false], 'mlp_bias'),
  ...refused('sliding_window'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
  ...withoutEffect(
    'gives the start values of a new model',
    ...(['linear_a_log_min', 'linear_a_log_max', 'linear_dt_min', 'linear_dt_max', 'linear_dt_init_floor'] as const),
  ),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof olmoHybridKeys>;

/** For each block, whether it has a state; without a list, every fourth block has attention, or the last of fewer than four. */
function statesOf({ layer_types: listed, num_hidden_layers: length }: Config): boolean[] {
  const attends = (layer: number) => (length < 4 ? layer === length - 1 : layer % 4 === 3);
  return Array.from({ length }, (_, layer) => (listed ? listed[layer] === 'linear_attention' : !attends(layer)));
}

/** The epsilon of the norm of the output, whatever the config's epsilon for other norms. */
const EPSILON = 1e-5;

function deltaOf(c: Config): DecoderDelta {
  const keyHeads = c.linear_num_key_heads ?? c.num_attention_heads;
  const keyDim = c.linear_key_head_dim ?? Math.floor((0.75 * c.hidden_size) / keyHeads);
  return {
    layers: statesOf(c),
    keyHeads,
    heads: c.linear_num_value_heads ?? c.num_attention_heads,
    keyDim,
    valueDim: c.linear_value_head_dim ?? 2 * keyDim,
    width: c.linear_conv_kernel_dim,
    activation: c.hidden_act,
    storage: 'apart',
    maxRate: c.linear_allow_neg_eigval ? 2 : 1,
    epsilon: EPSILON,
  };
}

/** Returns a problem if all blocks are of one type, which Transformers refuses too. */
function typeProblems({ layers }: DecoderDelta): ConfigProblem[] {
  if (new Set(layers).size > 1) return [];
  const message = 'a model of this family has blocks of both types, "linear_attention" and "full_attention"';
  return [contradiction('layer_types', message)];
}

export const olmoHybrid = familyOf({
  family: 'olmo_hybrid',
  keys: olmoHybridKeys,
  own: c => {
    const delta = deltaOf(c);
    const { layers, heads, keyHeads } = delta;
    return {
      names: olmoHybridNames(layers),
      biases: alike(c.attention_bias),
      innerNorms: 'whole',
      windows: everywhere(c, undefined),
      usesRope: everywhere(c, hasRopeBase(c)),
      delta,
      problems: [
        ...typeProblems(delta),
        ...multipleProblems('linear_num_value_heads', ['linear_num_value_heads', heads], ['linear_num_key_heads', keyHeads]),
      ],
    };
  },
});
