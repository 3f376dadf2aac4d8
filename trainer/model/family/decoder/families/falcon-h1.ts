/** Falcon-H1: blocks with Mamba-2 and attention side by side, and multipliers before and after every part. */

import { z } from 'zod';
import type { ConfigJson } from '../../../config-json.ts';
import {
  type ConfigValues,
  computed,
  type KeyTable,
  type RefusedKey,
  refused,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import type { DecoderMamba } from '../blocks/mamba.ts';
import { falconNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, paddingId } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { expandedSize, mambaKeys, mambaOf, mambaProblems } from '../keys/mamba-keys.ts';
import { alike, familyOf } from './family.ts';

const factor = z.number().positive();
const multiplier = computed(factor.default(1));

/** The types of blocks, of which Transformers knows one. @param key that lists them */
const hybrid = (key: string): RefusedKey => ({
  class: 'refused',
  unless: ({ [key]: types }: ConfigJson) => [Array.isArray(types) ? types.map(() => 'hybrid') : []],
  supported: '"hybrid" in every layer',
});

const falconH1Keys = {
  ...decoderKeys,
  ...mambaKeys,
  num_key_value_heads: headCount(8),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(0),
  attention_bias: biased,
  mlp_bias: biased,
  projectors_bias: biased,
  mamba_d_ssm: computed(size(65536).nullish().default(1024)),
  mamba_rms_norm: computed(z.boolean().default(false)),
  mamba_norm_before_gate: computed(z.boolean().default(true)),
  embedding_multiplier: multiplier,
  lm_head_multiplier: multiplier,
  attention_in_multiplier: multiplier,
  key_multiplier: multiplier,
  attention_out_multiplier: multiplier,
  ssm_in_multiplier: multiplier,
  ssm_multipliers: computed(z.tuple([factor, factor, factor, factor, factor]).nullish()),
  ssm_out_multiplier: multiplier,
  mlp_multipliers: computed(z.tuple([factor, factor]).nullish()),
  layer_types: hybrid('layer_types'),
  layers_block_type: hybrid('layers_block_type'),
  ...refused('sliding_window', 'attention_chunk_size', 'attn_layer_indices'),
  ...refusedUnless([true], 'mamba_use_mlp'),
  ...withoutEffect('is not read: intermediate_size counts', 'mlp_expansion_factor'),
  ...withoutEffect('says how text is written', 'num_logits_to_keep'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof falconH1Keys>;

/** The size of Mamba's heads together, and the keys that give it. */
const innerSize = (c: Config) => (typeof c.mamba_d_ssm === 'number' ? { size: c.mamba_d_ssm, from: 'mamba_d_ssm' } : expandedSize(c));

const ownMamba = (c: Config): DecoderMamba => ({
  ...mambaOf(c, innerSize(c).size, everywhere(c, true)),
  lacksPeftFactors: true,
  hasAttention: true,
  biases: { input: c.mamba_proj_bias, output: c.projectors_bias, convolution: c.mamba_conv_bias },
  norm: c.mamba_rms_norm ? (c.mamba_norm_before_gate ? 'before gate' : 'after gate') : undefined,
  multipliers: { input: c.ssm_in_multiplier, sections: c.ssm_multipliers ?? [1, 1, 1, 1, 1], output: c.ssm_out_multiplier },
});

export const falconH1 = familyOf({
  family: 'falcon_h1',
  names: falconNames,
  keys: falconH1Keys,
  own: c => {
    const mamba = ownMamba(c);
    const [gate, down] = c.mlp_multipliers ?? [1, 1];
    return {
      biases: alike(c.attention_bias),
      mlpBias: c.mlp_bias,
      windows: everywhere(c, undefined),
      mamba,
      inputMultiplier: c.attention_in_multiplier,
      outputMultiplier: c.attention_out_multiplier,
      // The multiplier of keys multiplies the scores alike.
      scale: c.key_multiplier * (c.head_dim ?? c.hidden_size / c.num_attention_heads) ** -0.5,
      mlpMultipliers: { gate, down },
      multipliers: {
        embeddingMultiplier: { factor: c.embedding_multiplier, rounded: false },
        logitMultiplier: c.lm_head_multiplier,
      },
      problems: mambaProblems(mamba, innerSize(c)),
    };
  },
});
