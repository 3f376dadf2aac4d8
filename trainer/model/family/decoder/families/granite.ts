/**
 * Granite: Llama with multipliers; Granite 4, whose blocks may be mostly Mamba-2, has gate and up in one matrix and may have no positions.
 */

import { z } from 'zod';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  multipleProblems,
  refusedUnless,
  withoutEffect,
} from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { graniteExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import type { DecoderMamba } from '../blocks/mamba.ts';
import { graniteHybridNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows } from '../keys/decoder-keys.ts';
import { chosenCount, expertKeys, expertProblems, gatedBy, MAX_EXPERTS } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf, type Own } from './family.ts';

const multiplier = computed(z.number().positive().default(1));

const multipliers = {
  embedding_multiplier: multiplier,
  residual_multiplier: multiplier,
  attention_multiplier: multiplier,
  logits_scaling: multiplier,
} as const;

const multiplied = (c: ConfigValues<typeof multipliers>): Pick<Own, 'scale' | 'multipliers'> => ({
  scale: c.attention_multiplier,
  multipliers: {
    embeddingMultiplier: { factor: c.embedding_multiplier, rounded: false },
    residualMultiplier: c.residual_multiplier,
    logitMultiplier: 1 / c.logits_scaling,
  },
});

export const graniteKeys = {
  ...decoderKeys,
  ...noWindows,
  ...multipliers,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  mlp_bias: biased,
} as const satisfies KeyTable;

/** The properties of Granite's blocks other than their windows. */
export const graniteOwn = (c: Pick<ConfigValues<typeof graniteKeys>, keyof typeof multipliers | 'attention_bias' | 'mlp_bias'>) => ({
  ...multiplied(c),
  biases: alike(c.attention_bias),
  mlpBias: c.mlp_bias,
});

export const granite = familyOf({
  family: 'granite',
  keys: graniteKeys,
  own: c => ({ ...graniteOwn(c), windows: everywhere(c, undefined) }),
});

/** Names of blocks with attention, the older name first, and of Mamba blocks. */
const ATTENDS = ['attention', 'full_attention'] as const;
const types = z.array(z.enum([...ATTENDS, 'mamba', 'linear_attention'])).max(512);
/** Infinity, for which JSON has no number; Transformers writes the object. */
const ENDLESS = 'Infinity';
const limit = z.union([z.number().nonnegative(), z.literal(ENDLESS), z.strictObject({ __float__: z.literal(ENDLESS) })]);

/** Keys of Mamba. Bounds are four times the largest published sizes. */
const mambaKeys = {
  mamba_n_heads: computed(size(1024).default(128)),
  mamba_n_groups: computed(size(1024).default(1)),
  mamba_d_state: computed(size(1024).default(256)),
  mamba_d_head: computed(z.union([size(1024), z.literal('auto')]).default('auto')),
  mamba_d_conv: computed(z.number().int().min(2).max(64).default(4)),
  mamba_expand: computed(size(64).default(2)),
  mamba_chunk_size: computed(size(65536).default(256)),
  mamba_conv_bias: computed(z.boolean().default(true)),
  mamba_proj_bias: biased,
  time_step_limit: computed(z.tuple([limit, limit]).default([0, ENDLESS])),
} as const;

const graniteHybridKeys = {
  ...expertKeys,
  ...multipliers,
  ...mambaKeys,
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  shared_intermediate_size: computed(size(262144).default(1024)),
  num_local_experts: computed(z.number().int().nonnegative().max(MAX_EXPERTS).default(8)),
  layer_types: computed(types.nullish()),
  layers_block_type: computed(types.nullish()),
  position_embedding_type: computed(z.string().nullish(), ['rope', 'nope']),
  intermediate_size: computed(size(262144).default(11008)),
  num_experts_per_tok: computed(chosenCount.default(2)),
  ...refusedUnless([false], 'mlp_bias'),
  ...refusedUnless(['rmsnorm'], 'normalization_function'),
  ...withoutEffect('is for new layers', 'init_method'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
} as const satisfies KeyTable;

type HybridConfig = ConfigValues<typeof graniteHybridKeys>;

const typesOf = (c: HybridConfig): readonly string[] => c.layer_types ?? c.layers_block_type ?? everywhere(c, 'mamba');

function mambaOf(c: HybridConfig): DecoderMamba {
  const [least, most] = c.time_step_limit;
  const bound = (each: typeof least): number => (typeof each === 'number' ? each : Number.POSITIVE_INFINITY);
  const heads = c.mamba_n_heads;
  return {
    name: 'mamba',
    layers: typesOf(c).map(type => !ATTENDS.some(each => each === type)),
    heads,
    headDim: c.mamba_d_head === 'auto' ? Math.floor((c.mamba_expand * c.hidden_size) / heads) : c.mamba_d_head,
    groups: c.mamba_n_groups,
    stateDim: c.mamba_d_state,
    width: c.mamba_d_conv,
    chunk: c.mamba_chunk_size,
    biases: { products: c.mamba_proj_bias, convolution: c.mamba_conv_bias },
    activation: c.hidden_act,
    steps: { least: bound(least), most: bound(most) },
  };
}

function mambaProblems(c: HybridConfig, { layers, heads, headDim, groups, steps }: DecoderMamba): ConfigProblem[] {
  if (!layers.includes(true)) return [];
  const inner = c.mamba_expand * c.hidden_size;
  return [
    ...(heads * headDim === inner
      ? []
      : [contradiction('mamba_n_heads', `mamba_n_heads ${heads} of ${headDim} features are not mamba_expand · hidden_size, ${inner}`)]),
    ...multipleProblems('mamba_n_groups', ['mamba_n_heads', heads], ['mamba_n_groups', groups]),
    ...(steps.least > steps.most
      ? [contradiction('time_step_limit', `time_step_limit begins at ${steps.least} and ends at ${steps.most}`)]
      : []),
  ];
}

const mixtureOf = (c: HybridConfig): DecoderExperts => ({
  count: c.num_local_experts,
  key: 'num_local_experts',
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  intermediateSize: c.intermediate_size,
  biased: false,
  layers: everywhere(c, true),
  names: graniteExperts,
  gated: gatedBy(c.hidden_act),
  shared: {
    name: 'shared_mlp',
    layers: { gateUp: 'input_linear', down: 'output_linear' },
    intermediateSize: c.shared_intermediate_size,
    activation: c.hidden_act,
    gated: false,
  },
});

export const graniteHybrid = familyOf({
  family: 'granitemoehybrid',
  names: graniteHybridNames,
  keys: graniteHybridKeys,
  own: c => {
    const mamba = mambaOf(c);
    const experts = c.num_local_experts > 0 ? mixtureOf(c) : undefined;
    return {
      ...multiplied(c),
      biases: alike(c.attention_bias),
      windows: everywhere(c, undefined),
      intermediateSizes: everywhere(c, experts ? c.intermediate_size : c.shared_intermediate_size),
      turning: everywhere(c, c.position_embedding_type === 'rope'),
      ...(mamba.layers.includes(true) && { mamba }),
      ...(experts && { experts }),
      problems: [...(experts ? expertProblems(experts, {}) : []), ...mambaProblems(c, mamba)],
    };
  },
});
