/** Qwen 2 and 3 with mixtures of experts in place of some MLPs. */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { size } from '../../common-keys.ts';
import { qwenExperts, qwenVlExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { biased, headCount, sizeKeys, switchedWindow } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertCount, expertCounts, expertKeys, gatedBy } from '../keys/expert-keys.ts';
import { everywhere, type Windows } from '../keys/layers.ts';
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
  ...withoutEffect('is of other families and not read by Transformers', 'qkv_bias', 'use_qk_norm', 'shared_expert_intermediate_size'),
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
  'num_experts' | 'num_experts_per_tok' | 'norm_topk_prob' | 'moe_intermediate_size' | 'hidden_act'
> & { readonly num_local_experts?: number | null | undefined };

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

const qwen2MoeKeys = {
  ...expertKeys,
  ...switchedWindow,
  ...sizeKeys({
    vocab_size: 151936,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    max_position_embeddings: 32768,
  }),
  num_key_value_heads: headCount(16),
  qkv_bias: computed(z.boolean().default(true)),
  moe_intermediate_size: computed(size(262144).default(1408)),
  shared_expert_intermediate_size: computed(size(262144).default(5632)),
  num_experts: computed(count.default(60)),
  num_experts_per_tok: computed(chosenCount.default(4)),
  norm_topk_prob: computed(z.boolean().default(false)),
  ...mixtureLayerKeys,
  // Transformers writes 0 where no block has a window.
  sliding_window: computed(z.number().int().nonnegative().nullish().default(4096)),
  ...withoutEffect('is not read: qkv_bias counts', 'attention_bias'),
  ...withoutEffect('is not read: num_experts counts', 'num_local_experts'),
} as const satisfies KeyTable;

/** Windows for every second block among the first `max_window_layers`, or for those that `layer_types` lists, if they are switched on. */
function alternateWindows(c: ConfigValues<typeof qwen2MoeKeys>): Windows {
  if (!c.use_sliding_window) return everywhere(c, undefined);
  const isNarrow = (layer: number) =>
    c.layer_types ? c.layer_types[layer] === 'sliding_attention' : layer % 2 === 0 && layer < c.max_window_layers;
  return everywhere(c, undefined).map((_, layer) => (isNarrow(layer) ? c.sliding_window || 'unsized' : undefined));
}

/** Qwen 1.5 and 2 with experts, next to one that computes every token. */
export const qwen2Moe = familyOf({
  family: 'qwen2_moe',
  keys: qwen2MoeKeys,
  own: c => ({
    biases: { qkv: c.qkv_bias, output: false },
    windows: alternateWindows(c),
    experts: {
      ...qwenMixture(c, 60, mixtureLayers(c)),
      shared: { name: 'mlp.shared_expert', intermediateSize: c.shared_expert_intermediate_size, activation: c.hidden_act, gated: true },
    },
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
