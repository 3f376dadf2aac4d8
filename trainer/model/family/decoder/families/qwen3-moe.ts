/** Qwen 3 with mixtures of experts in place of some MLPs. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { qwenExperts, qwenVlExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { biased, headCount, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, expertCount, expertCounts, expertKeys, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { QWEN3_VL_ROPE } from './qwen.ts';

/** Keys that say which blocks have experts. */
export const mixtureLayerKeys = {
  decoder_sparse_step: computed(z.number().int().positive().default(1)),
  mlp_only_layers: computed(z.array(z.number().int().nonnegative()).max(512).nullish()),
} as const satisfies KeyTable;

const qwen3MoeKeys = {
  ...expertKeys,
  num_key_value_heads: headCount(4),
  attention_bias: biased,
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: computed(z.number().int().positive().nullish().default(4096)),
  moe_intermediate_size: computed(size(262144).default(768)),
  ...expertCounts,
  num_experts_per_tok: computed(chosenCount.default(8)),
  norm_topk_prob: computed(z.boolean().default(false)),
  ...mixtureLayerKeys,
  ...withoutEffect('is of older files; use_sliding_window counts', 'max_window_layers', 'layer_types'),
} as const satisfies KeyTable;

type Layers = Pick<ConfigValues<typeof qwen3MoeKeys>, 'num_hidden_layers' | 'mlp_only_layers' | 'decoder_sparse_step'>;

/** For each block, whether it has experts. */
export const mixtureLayers = ({ num_hidden_layers: length, mlp_only_layers: plain, decoder_sparse_step: step }: Layers): boolean[] =>
  Array.from({ length }, (_, layer) => !plain?.includes(layer) && (layer + 1) % step === 0);

/** Returns a problem if a listed layer does not exist. */
export function mixtureLayerProblems({ mlp_only_layers: plain, num_hidden_layers: layers }: Layers): ConfigProblem[] {
  const beyond = plain?.find(layer => layer >= layers);
  if (beyond === undefined) return [];
  return [contradiction('mlp_only_layers', `mlp_only_layers names layer ${beyond} for num_hidden_layers ${layers}`)];
}

type Mixture = Pick<
  ConfigValues<typeof qwen3MoeKeys>,
  'num_experts' | 'num_local_experts' | 'num_experts_per_tok' | 'norm_topk_prob' | 'moe_intermediate_size' | 'hidden_act'
>;

/** @param usual the default number of experts @param layers for each block, whether it has experts */
export const qwenMixture = (c: Mixture, usual: number, layers: readonly boolean[]): DecoderExperts => ({
  ...expertCount(c, usual),
  chosen: c.num_experts_per_tok,
  sumsToOne: c.norm_topk_prob,
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers,
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
});

const qwen3VlMoeKeys = {
  ...expertKeys,
  ...sizeKeys({ intermediate_size: 5632 }),
  num_key_value_heads: headCount(16),
  attention_bias: biased,
  moe_intermediate_size: computed(size(262144).default(1408)),
  ...expertCounts,
  num_experts_per_tok: computed(chosenCount.default(4)),
  ...mixtureLayerKeys,
  ...refusedUnless([true], 'norm_topk_prob'),
  ...withoutEffect('is not read by Transformers, which attends to the whole text', 'sliding_window'),
} as const satisfies KeyTable;

/** The text part of Qwen3-VL with experts. */
export const qwen3VlMoe = familyOf({
  family: 'qwen3_vl_moe',
  keys: qwen3VlMoeKeys,
  rope: QWEN3_VL_ROPE,
  own: c => ({
    biases: alike(c.attention_bias),
    innerNorms: 'heads',
    windows: everywhere(c, undefined),
    experts: { ...qwenMixture({ ...c, norm_topk_prob: true }, 60, mixtureLayers(c)), names: qwenVlExperts },
    problems: mixtureLayerProblems(c),
  }),
});

export const qwen3Moe = familyOf({
  family: 'qwen3_moe',
  keys: qwen3MoeKeys,
  own: c => ({
    biases: alike(c.attention_bias),
    innerNorms: 'heads',
    windows: everywhere(c, c.use_sliding_window ? (c.sliding_window ?? undefined) : undefined),
    experts: qwenMixture(c, 128, mixtureLayers(c)),
    problems: mixtureLayerProblems(c),
  }),
});
