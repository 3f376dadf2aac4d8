/** LFM2: most blocks have a short convolution in place of attention, and the others norm their heads. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import type { DecoderConvolution } from '../blocks/convolution.ts';
import { lfm2Names } from '../blocks/names.ts';
import { biased, decoderKeys, headCount } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const NOT_READ = 'is not read by Transformers either';
const epsilon = computed(z.number().positive().max(1).default(1e-5));

const lfm2Keys = {
  ...decoderKeys,
  vocab_size: computed(size(2 ** 20).default(65536)),
  hidden_size: computed(size(65536).default(2560)),
  intermediate_size: computed(size(262144).default(12288)),
  num_hidden_layers: computed(size(512).default(32)),
  num_attention_heads: computed(size(1024).default(32)),
  num_key_value_heads: headCount(8),
  max_position_embeddings: computed(size(2 ** 24).default(128000)),
  pad_token_id: computed(z.number().int().nullish().default(0)),
  tie_word_embeddings: computed(z.boolean().default(true)),
  norm_eps: epsilon,
  layer_types: computed(
    z
      .array(z.enum(['full_attention', 'conv']))
      .max(512)
      .nullish(),
  ),
  full_attn_idxs: computed(z.array(z.number().int().nonnegative()).max(512).nullish()),
  conv_L_cache: computed(z.number().int().min(2).max(64).default(3)),
  conv_bias: biased,
  block_multiple_of: computed(size(262144).default(256)),
  block_ffn_dim_multiplier: computed(z.number().positive().nullish().default(1)),
  block_auto_adjust_ff_dim: computed(z.boolean().default(true)),
  // Older names, which go before the newer ones.
  block_ff_dim: computed(size(262144).nullish()),
  tie_embedding: computed(z.boolean().nullish()),
  ...withoutEffect('is not read: norm_eps counts', 'rms_norm_eps', 'block_norm_eps'),
  ...withoutEffect('is not read: the gate of the MLP is SiLU, and nothing is dropped', 'hidden_act', 'attention_dropout'),
  ...withoutEffect(NOT_READ, 'block_dim', 'conv_dim', 'conv_dim_out', 'num_heads', 'theta', 'use_pos_enc', 'block_use_swiglu'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
  ...withoutEffect('is for new layers', 'block_mlp_init_scale', 'block_out_init_scale', 'block_use_xavier_init', 'conv_use_xavier_init'),
  ...refusedUnless([false], 'attention_bias', 'mlp_bias', 'use_sliding_window'),
  ...refused('sliding_window', 'attention_chunk_size'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof lfm2Keys>;

const attends = (c: Config, layer: number): boolean =>
  c.layer_types ? c.layer_types[layer] === 'full_attention' : (c.full_attn_idxs?.includes(layer) ?? true);

const convolutionOf = (c: Config): DecoderConvolution => ({
  layers: Array.from({ length: c.num_hidden_layers }, (_, layer) => !attends(c, layer)),
  width: c.conv_L_cache,
  biased: c.conv_bias,
});

/** Two thirds of what the config says, by a factor, up to the next multiple: where the config is to be adjusted. */
function innerSize(c: Config): number {
  const given = c.block_ff_dim ?? c.intermediate_size;
  if (!c.block_auto_adjust_ff_dim) return given;
  const part = Math.floor((2 * given) / 3);
  if (c.block_ffn_dim_multiplier === null) return part;
  return c.block_multiple_of * Math.ceil(Math.floor(c.block_ffn_dim_multiplier * part) / c.block_multiple_of);
}

export const lfm2 = familyOf({
  family: 'lfm2',
  names: lfm2Names,
  rope: { theta: 1e6 },
  keys: lfm2Keys,
  own: c => ({
    biases: alike(false),
    windows: everywhere(c, undefined),
    innerNorms: 'heads',
    convolution: convolutionOf(c),
    intermediateSizes: everywhere(c, innerSize(c)),
    activation: 'silu',
    norms: { epsilon: c.norm_eps, offset: 0 },
    tied: c.tie_embedding ?? c.tie_word_embeddings,
  }),
});
