/**
 * Granite: Llama with multipliers; Granite 4, whose blocks may be mostly Mamba-2, has gate and up in one matrix and may have no positions.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { size } from '../../common-keys.ts';
import { graniteExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts, ExpertNames } from '../blocks/experts.ts';
import { graniteHybridNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, noWindows, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertKeys, expertProblems, gatedBy, MAX_EXPERTS } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { expandedSize, mambaKeys, mambaOf, mambaProblems } from '../keys/mamba-keys.ts';
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

/** Keys of Granite's models with experts. */
const graniteMoeKeys = {
  ...expertKeys,
  ...multipliers,
  ...sizeKeys({ intermediate_size: 11008 }),
  num_key_value_heads: headCount(null),
  attention_bias: biased,
  num_experts_per_tok: computed(chosenCount.default(2)),
  ...refusedUnless([false], 'mlp_bias'),
} as const;

const graniteHybridKeys = {
  ...graniteMoeKeys,
  ...mambaKeys,
  shared_intermediate_size: computed(size(262144).default(1024)),
  num_local_experts: computed(z.number().int().nonnegative().max(MAX_EXPERTS).default(8)),
  layer_types: computed(types.nullish()),
  layers_block_type: computed(types.nullish()),
  position_embedding_type: computed(z.string().nullish(), ['rope', 'nope']),
  ...refusedUnless(['rmsnorm'], 'normalization_function'),
  ...withoutEffect('is for new layers', 'init_method'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'number_of_conv_states'),
} as const satisfies KeyTable;

type HybridConfig = ConfigValues<typeof graniteHybridKeys>;

const typesOf = (c: HybridConfig): readonly string[] => c.layer_types ?? c.layers_block_type ?? everywhere(c, 'mamba');

const mixtureOf = (
  c: ConfigValues<typeof graniteMoeKeys> & { readonly num_local_experts: number; readonly shared_intermediate_size: number },
  names: ExpertNames = graniteExperts,
): DecoderExperts => ({
  count: c.num_local_experts,
  key: 'num_local_experts',
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  intermediateSize: c.intermediate_size,
  biased: false,
  layers: everywhere(c, true),
  names,
  gated: gatedBy(c.hidden_act),
  ...(c.shared_intermediate_size > 0 && {
    shared: {
      name: 'shared_mlp',
      layers: { gateUp: 'input_linear', down: 'output_linear' },
      intermediateSize: c.shared_intermediate_size,
      activation: c.hidden_act,
      gated: false,
    },
  }),
});

export const graniteHybrid = familyOf({
  family: 'granitemoehybrid',
  names: graniteHybridNames,
  keys: graniteHybridKeys,
  own: c => {
    const inner = expandedSize(c);
    const layers = typesOf(c).map(type => !ATTENDS.some(each => each === type));
    const mamba = mambaOf(c, inner.size, layers);
    const experts = c.num_local_experts > 0 ? mixtureOf(c) : undefined;
    return {
      ...multiplied(c),
      biases: alike(c.attention_bias),
      windows: everywhere(c, undefined),
      intermediateSizes: everywhere(c, experts ? c.intermediate_size : c.shared_intermediate_size),
      usesRope: everywhere(c, c.position_embedding_type === 'rope'),
      ...(mamba.layers.includes(true) && { mamba }),
      ...(experts && { experts }),
      problems: [...(experts ? expertProblems(experts, {}) : []), ...mambaProblems(mamba, inner)],
    };
  },
});

const mixtureKeys = { ...graniteMoeKeys, ...noWindows, num_local_experts: computed(count.default(8)) } as const satisfies KeyTable;

const withMixture = (c: ConfigValues<typeof mixtureKeys>, sharedSize: number, names?: ExpertNames): Own => ({
  ...multiplied(c),
  biases: alike(c.attention_bias),
  windows: everywhere(c, undefined),
  experts: mixtureOf({ ...c, shared_intermediate_size: sharedSize }, names),
});

/** Granite 3 with experts in every block. */
export const graniteMoe = familyOf({ family: 'granitemoe', keys: mixtureKeys, own: c => withMixture(c, 0) });

export const graniteSharedKeys = {
  ...mixtureKeys,
  shared_intermediate_size: computed(z.number().int().nonnegative().max(262144).default(0)),
} as const satisfies KeyTable;

export const graniteSharedOwn = (c: ConfigValues<typeof graniteSharedKeys>, names?: ExpertNames): Own =>
  withMixture(c, c.shared_intermediate_size, names);

/** The same with an expert that computes every token. */
export const graniteMoeShared = familyOf({ family: 'granitemoeshared', keys: graniteSharedKeys, own: c => graniteSharedOwn(c) });
