/** gpt-oss: attention with sinks, and experts with a clamped gate, stored in four bits. */

import { z } from 'zod';
import type { ConfigJson } from '../../../config-json.ts';
import { type ConfigValues, computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { clampedSwiglu } from '../../../layer/activation.ts';
import { epsilon } from '../../common-keys.ts';
import { gptOssExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts, Gated } from '../blocks/experts.ts';
import { headCount, listedTypes, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, expertCount, expertCounts, expertKeys } from '../keys/expert-keys.ts';
import { layerTypes, windowsOf } from '../keys/layers.ts';
import { storedBlocks } from '../keys/quantization-keys.ts';
import { ropeUnlessGiven } from '../keys/rope-config.ts';
import { alike, familyOf } from './family.ts';

const gptOssKeys = {
  ...expertKeys,
  ...sizeKeys({
    vocab_size: 201088,
    hidden_size: 2880,
    intermediate_size: 2880,
    num_hidden_layers: 36,
    num_attention_heads: 64,
    max_position_embeddings: 131072,
  }),
  num_key_value_heads: headCount(8),
  head_dim: headCount(64),
  rms_norm_eps: epsilon(1e-5),
  attention_bias: computed(z.boolean().default(true)),
  sliding_window: computed(z.number().int().positive().nullish().default(128)),
  layer_types: listedTypes,
  ...expertCounts,
  num_experts_per_tok: computed(chosenCount.default(4)),
  swiglu_alpha: computed(z.number().positive().default(1.702)),
  swiglu_limit: computed(z.number().positive().default(7)),
  quantization_config: storedBlocks,
  ...withoutEffect('is not read: the gate has its own activation', 'hidden_act'),
  ...withoutEffect('says what num_experts_per_tok says', 'experts_per_token'),
  ...withoutEffect('says what the positions say', 'initial_context_length'),
} as const satisfies KeyTable;

/** The positions of a gpt-oss model whose config does not state them, as in Transformers. */
const GPT_OSS_POSITIONS: ConfigJson = {
  ...{ rope_type: 'yarn', rope_theta: 150000, factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
  original_max_position_embeddings: 4096,
};

function clamped(limits: { readonly alpha: number; readonly limit: number }): Gated {
  return { kind: 'together', limits, of: (graph, gateUp) => clampedSwiglu(graph, gateUp, limits) };
}

const gptOssMixture = (c: ConfigValues<typeof gptOssKeys>): DecoderExperts => ({
  ...expertCount(c, 128),
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  intermediateSize: c.intermediate_size,
  biased: true,
  layers: Array.from({ length: c.num_hidden_layers }, () => true),
  names: gptOssExperts,
  gated: clamped({ alpha: c.swiglu_alpha, limit: c.swiglu_limit }),
});

export const gptOss = familyOf({
  family: 'gpt_oss',
  rope: { theta: 150000 },
  defaults: ropeUnlessGiven(GPT_OSS_POSITIONS),
  keys: gptOssKeys,
  own: c => ({
    biases: alike(c.attention_bias),
    sinks: true,
    activation: 'silu',
    windows: windowsOf(c, layerTypes(c, 2)),
    experts: gptOssMixture(c),
  }),
});
