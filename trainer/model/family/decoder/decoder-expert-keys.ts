/** The keys of config.json of decoders whose MLPs are mixtures of experts, and what they say of the experts: see `config-keys.ts`. */

import { z } from 'zod';
import type { ConfigJson } from '../../config-json.ts';
import { type ConfigValues, computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activationOf, activations, clampedSwiglu, swiglu } from '../../layer/activation.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { size } from '../common-keys.ts';
import { gptOssExperts, mixtralExperts, qwenExperts } from './decoder-expert-names.ts';
import type { DecoderExperts, Gated } from './decoder-experts.ts';
import { decoderKeys, headCount, mistralKeys, olmo3Keys, storedAs } from './decoder-keys.ts';

/** Eight times the largest published number. */
const MAX_EXPERTS = 4096;
export const count = size(MAX_EXPERTS);

const expertKeys = {
  ...decoderKeys,
  // With it, Transformers adds the loss that balances the experts.
  ...refusedUnless([false], 'output_router_logits'),
  ...withoutEffect('is of the loss that balances the experts, which output_router_logits turns on', 'router_aux_loss_coef'),
} as const;

/** Transformers 4 writes the one or the other, Transformers 5 the second. */
const expertCounts = { num_experts: computed(count.nullish()), num_local_experts: computed(count.nullish()) } as const;
type Counts = ConfigValues<typeof expertCounts>;

const expertCount = ({ num_experts: one, num_local_experts: other }: Counts, usual: number) => ({
  count: one ?? other ?? usual,
  key: one ? 'num_experts' : 'num_local_experts',
});

const countProblems = ({ num_experts: one, num_local_experts: other }: Counts): ConfigProblem[] =>
  one && other && one !== other ? [contradiction('num_experts', `num_experts ${one} and num_local_experts ${other} differ`)] : [];

export const mixtralKeys = {
  ...expertKeys,
  num_key_value_heads: headCount(8),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  sliding_window: computed(z.number().int().positive().nullish()),
  ...refusedUnless([], 'attention_chunk_size'),
  ...expertCounts,
  num_experts_per_tok: computed(count.default(2)),
  // Every layer has the window, whatever a list says.
  layer_types: mistralKeys.layer_types,
  ...refusedUnless([0], 'router_jitter_noise'),
} as const satisfies KeyTable;

export const qwen3MoeKeys = {
  ...expertKeys,
  num_key_value_heads: headCount(4),
  attention_bias: computed(z.boolean().default(false)),
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: computed(z.number().int().positive().nullish().default(4096)),
  moe_intermediate_size: computed(size(262144).default(768)),
  ...expertCounts,
  num_experts_per_tok: computed(count.default(8)),
  norm_topk_prob: computed(z.boolean().default(false)),
  decoder_sparse_step: computed(z.number().int().positive().default(1)),
  mlp_only_layers: computed(z.array(z.number().int().nonnegative()).max(512).nullish()),
  ...withoutEffect('is of older files; use_sliding_window counts', 'max_window_layers', 'layer_types'),
} as const satisfies KeyTable;

export const gptOssKeys = {
  ...expertKeys,
  vocab_size: computed(size(2 ** 20).default(201088)),
  hidden_size: computed(size(65536).default(2880)),
  intermediate_size: computed(size(262144).default(2880)),
  num_hidden_layers: computed(size(512).default(36)),
  num_attention_heads: computed(size(1024).default(64)),
  max_position_embeddings: computed(size(2 ** 24).default(131072)),
  num_key_value_heads: headCount(8),
  head_dim: headCount(64),
  rms_norm_eps: computed(z.number().positive().max(1).default(1e-5)),
  attention_bias: computed(z.boolean().default(true)),
  sliding_window: computed(z.number().int().positive().nullish().default(128)),
  layer_types: olmo3Keys.layer_types,
  ...expertCounts,
  num_experts_per_tok: computed(count.default(4)),
  swiglu_alpha: computed(z.number().positive().default(1.702)),
  swiglu_limit: computed(z.number().positive().default(7)),
  quantization_config: storedAs({ quant_method: 'mxfp4' }),
  ...withoutEffect('is not read: the gate has its own activation', 'hidden_act'),
  ...withoutEffect('says what num_experts_per_tok says', 'experts_per_token'),
  ...withoutEffect('says what the positions say', 'initial_context_length'),
} as const satisfies KeyTable;

/** The positions of a gpt-oss whose config says nothing of them, as in Transformers. */
export const GPT_OSS_POSITIONS: ConfigJson = {
  ...{ rope_type: 'yarn', rope_theta: 150000, factor: 32, beta_fast: 32, beta_slow: 1, truncate: false },
  original_max_position_embeddings: 4096,
};

function clamped(limits: { readonly alpha: number; readonly limit: number }): Gated {
  return { kind: 'together', limits, of: (graph, gateUp) => clampedSwiglu(graph, gateUp, limits) };
}

export const gptOssMixture = (c: ConfigValues<typeof gptOssKeys>): DecoderExperts => ({
  ...expertCount(c, 128),
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  intermediateSize: c.intermediate_size,
  biased: true,
  layers: Array.from({ length: c.num_hidden_layers }, () => true),
  names: gptOssExperts,
  gated: clamped({ alpha: c.swiglu_alpha, limit: c.swiglu_limit }),
});

/** Keys that say the same differ, or a token asks for more experts than there are. */
export const expertProblems = (
  { chosen, count: all, key, chosenKey = 'num_experts_per_tok' }: DecoderExperts,
  counts: Counts,
): ConfigProblem[] => [
  ...countProblems(counts),
  ...(chosen > all ? [contradiction(chosenKey, `${chosenKey} ${chosen} is above ${key} ${all}`)] : []),
];

export function gatedBy(name: string): Gated {
  const activation = activationOf(name);
  return {
    kind: 'apart',
    of: (graph, gate, up) => (activation === activations.silu ? swiglu(graph, gate, up) : graph.mul(activation(graph, gate), up)),
  };
}

export const mixtralMixture = (c: ConfigValues<typeof mixtralKeys>): DecoderExperts => ({
  ...expertCount(c, 8),
  chosen: c.num_experts_per_tok,
  sumsToOne: true,
  intermediateSize: c.intermediate_size,
  biased: false,
  layers: Array.from({ length: c.num_hidden_layers }, () => true),
  names: mixtralExperts,
  gated: gatedBy(c.hidden_act),
});

export const qwenMixture = (c: ConfigValues<typeof qwen3MoeKeys>): DecoderExperts => ({
  ...expertCount(c, 128),
  chosen: c.num_experts_per_tok,
  sumsToOne: c.norm_topk_prob,
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers: Array.from(
    { length: c.num_hidden_layers },
    (_, layer) => !c.mlp_only_layers?.includes(layer) && (layer + 1) % c.decoder_sparse_step === 0,
  ),
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
});

/** Layers that are not there. */
export function qwenMixtureProblems({
  mlp_only_layers: plain,
  num_hidden_layers: layers,
}: ConfigValues<typeof qwen3MoeKeys>): ConfigProblem[] {
  const beyond = plain?.find(layer => layer >= layers);
  if (beyond === undefined) return [];
  return [contradiction('mlp_only_layers', `mlp_only_layers names layer ${beyond} for num_hidden_layers ${layers}`)];
}
