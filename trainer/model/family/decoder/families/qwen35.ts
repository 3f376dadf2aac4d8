/** Qwen 3.5: three of four blocks have a recurrent state in place of attention, and the outputs of heads are gated. */

import { z } from 'zod';
import { isRecord } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import { type ConfigValues, computed, type KeyTable, multipleProblems, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import type { VisionInput } from '../../../vision/vision-encoder.ts';
import { size } from '../../common-keys.ts';
import type { DecoderDelta } from '../blocks/delta.ts';
import { decoderKeys, headCount } from '../keys/decoder-keys.ts';
import { imageTextKeys } from '../keys/image-text-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const headSize = computed(size(1024).default(128));
const types = ['linear_attention', 'full_attention'] as const;

/** The default share of each head that rotates. */
export const QWEN35_PART = { partial_rotary_factor: 0.25 } as const;

/** How pairs of features rotate by time, row and column. */
export const QWEN35_GRID = { sections: [11, 11, 10], isInterleaved: true } as const;

export const qwen35Keys = {
  ...decoderKeys,
  num_key_value_heads: headCount(4),
  head_dim: headCount(256),
  attention_bias: computed(z.boolean().default(false)),
  partial_rotary_factor: computed(z.number().positive().max(1).nullish()),
  layer_types: computed(z.array(z.enum(types)).max(512).nullish()),
  full_attention_interval: computed(z.number().int().positive().max(512).nullish().default(4)),
  linear_num_key_heads: computed(size(1024).default(16)),
  linear_num_value_heads: computed(size(1024).default(32)),
  linear_key_head_dim: headSize,
  linear_value_head_dim: headSize,
  linear_conv_kernel_dim: computed(z.number().int().min(2).max(64).default(4)),
  ...refusedUnless([true], 'attn_output_gate'),
  ...refusedUnless(['swish', 'silu'], 'output_gate_type'),
  ...withoutEffect('says what servers hold the state in, which is float32 here', 'mamba_ssm_dtype'),
  ...withoutEffect(
    'is of the layers that guess further tokens, which are not loaded',
    'mtp_num_hidden_layers',
    'mtp_use_dedicated_embeddings',
  ),
  ...withoutEffect('is for mixtures of experts', 'mlp_only_layers'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
} as const satisfies KeyTable;

type Config = Omit<ConfigValues<typeof qwen35Keys>, 'intermediate_size'>;

/** The delta net; without a list, every `full_attention_interval`-th block has attention. */
function qwen35Delta(c: Config): DecoderDelta {
  const interval = c.full_attention_interval ?? 4;
  const usual = (layer: number) => ((layer + 1) % interval === 0 ? 'full_attention' : 'linear_attention');
  return {
    layers: Array.from({ length: c.num_hidden_layers }, (_, layer) => (c.layer_types?.[layer] ?? usual(layer)) === 'linear_attention'),
    keyHeads: c.linear_num_key_heads,
    heads: c.linear_num_value_heads,
    keyDim: c.linear_key_head_dim,
    valueDim: c.linear_value_head_dim,
    width: c.linear_conv_kernel_dim,
    activation: c.hidden_act,
    storage: 'joined',
    maxRate: 1,
    epsilon: c.rms_norm_eps,
  };
}

const qwen35Problems = ({ linear_num_key_heads: keys, linear_num_value_heads: values }: Config): ConfigProblem[] =>
  multipleProblems('linear_num_value_heads', ['linear_num_value_heads', values], ['linear_num_key_heads', keys]);

/** The blocks, whatever MLP they have. */
export const qwen35Blocks = (c: Config) =>
  ({
    biases: alike(c.attention_bias),
    windows: everywhere(c, undefined),
    innerNorms: 'heads',
    gated: 'features',
    delta: qwen35Delta(c),
    norms: { epsilon: c.rms_norm_eps, offset: 1 },
    problems: qwen35Problems(c),
  }) as const;

export const qwen35 = familyOf({
  family: 'qwen3_5',
  keys: qwen35Keys,
  rope: { isPartial: true, grid: QWEN35_GRID },
  defaults: () => QWEN35_PART,
  own: qwen35Blocks,
});

/** Keys of Qwen's models that read images. @param imageToken the default id of the token in place of which vectors of images stand */
export const qwenImageKeys = (imageToken: number) =>
  ({
    ...imageTextKeys,
    tie_word_embeddings: computed(z.boolean().default(false)),
    image_token_id: computed(z.number().int().nonnegative().default(imageToken)),
    vision_config: computed(z.record(z.string(), z.unknown()).default({})),
    ...withoutEffect('is of videos, which are not read', 'video_token_id'),
    ...withoutEffect('is written by the chat template, and read as any other token', 'vision_start_token_id', 'vision_end_token_id'),
  }) as const satisfies KeyTable;

/** How vectors of images enter the text. @param deepstack the number of further sets, by `vision_config` */
export const qwenImages =
  (deepstack: (tower: ConfigJson) => number) =>
  ({ image_token_id: imageToken, vision_config: tower }: ConfigJson): VisionInput => ({
    imageToken: Number(imageToken),
    positions: 'grid',
    deepstack: deepstack(isRecord(tower) ? tower : {}),
    attendsWithin: false,
  });
