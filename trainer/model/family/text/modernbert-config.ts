/** Reads the config.json of ModernBERT, as Transformers 4 and 5 write it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, refused, refusedUnless, withoutEffect } from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { activation, classifierKeys, encoderProblems, epsilon, paddingRow, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { ModernBertConfig } from './modernbert.ts';
import type { TextForm } from './text-classifier.ts';

const theta = z.number().positive();
const rope = z.strictObject({ rope_type: z.literal('default').optional(), rope_theta: theta.optional() }).nullish();
const isBiased = computed(z.boolean().default(false));
const dropped = computed(rate.default(0));

export const modernBertKeys = {
  ...classifierKeys,
  vocab_size: computed(size(2 ** 21)),
  hidden_size: computed(size(16384)),
  intermediate_size: computed(size(65536)),
  num_hidden_layers: computed(size(256)),
  num_attention_heads: computed(size(256)),
  max_position_embeddings: computed(size(2 ** 20)),
  hidden_activation: activation('gelu'),
  norm_eps: epsilon(1e-5),
  norm_bias: isBiased,
  attention_bias: isBiased,
  mlp_bias: isBiased,
  classifier_bias: isBiased,
  classifier_activation: activation('gelu'),
  classifier_pooling: computed(z.string().default('cls'), ['cls', 'mean']),
  attention_dropout: dropped,
  embedding_dropout: dropped,
  mlp_dropout: dropped,
  classifier_dropout: dropped,
  local_attention: computed(size(2 ** 20).default(128)),
  layer_types: computed(z.array(z.enum(['full_attention', 'sliding_attention'])).nullish()),
  global_attn_every_n_layers: computed(size(256).default(3)),
  global_rope_theta: computed(theta.default(160_000)),
  local_rope_theta: computed(theta.default(10_000)),
  rope_parameters: computed(z.strictObject({ full_attention: rope, sliding_attention: rope }).nullish()),
  pad_token_id: computed(z.number().int().min(0).nullish()),
  head_dim: { class: 'refused', unless: c => [Number(c.hidden_size) / Number(c.num_attention_heads)] },
  ...refused('rope_scaling', 'rope_theta', 'partial_rotary_factor', 'sliding_window'),
  ...refusedUnless([false], 'is_causal'),
  ...withoutEffect(
    'is for the head of the pretraining, which is not used',
    'decoder_bias',
    'sparse_prediction',
    'sparse_pred_ignore_index',
  ),
  ...withoutEffect('says how the same numbers are computed', 'deterministic_flash_attn', 'reference_compile', 'repad_logits_with_grad'),
  ...withoutEffect(
    'is for layers that every file holds; the spread of a new classifier follows from its width',
    ...(['initializer_range', 'initializer_cutoff_factor'] as const),
  ),
  ...withoutEffect(
    'is an older name that Transformers does not read',
    'layer_norm_eps',
    'gradient_checkpointing',
    'position_embedding_type',
  ),
} as const satisfies KeyTable;

/** Files with and without a head have the layers between encoder and classifier, and the same names. */
export type ModernBertForm = Omit<TextForm, 'prefix'>;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function modernBertConfig(
  architecture: string,
  { hasHead, hasTokenHead = false }: ModernBertForm,
  json: ConfigJson,
  options: ModelOptions,
): ModernBertConfig {
  const { values: c, problems } = readConfig(modernBertKeys, architecture, json);
  const types = c.layer_types ?? alternating(c.num_hidden_layers, c.global_attn_every_n_layers);
  const uneven: ConfigProblem[] =
    types.length === c.num_hidden_layers
      ? []
      : [contradiction('layer_types', `layer_types has ${types.length} entries, num_hidden_layers says ${c.num_hidden_layers}`)];
  const odd: ConfigProblem[] =
    (c.hidden_size / c.num_attention_heads) % 2 === 1
      ? [contradiction('hidden_size', `heads of ${c.hidden_size / c.num_attention_heads} features cannot be rotated in pairs`)]
      : [];
  refuse([...problems, ...encoderProblems(c), ...odd, ...uneven], architecture);
  const padding = paddingRow(c.pad_token_id === undefined ? 50283 : c.pad_token_id, c.vocab_size);
  const { full_attention: far, sliding_attention: near } = c.rope_parameters ?? {};
  return {
    ...readLabels({ architecture, json, options, hasHead, hasTokenHead, std: c.hidden_size ** -0.5 }),
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    heads: c.num_attention_heads,
    maxPositions: c.max_position_embeddings,
    isLocal: types.map(type => type === 'sliding_attention'),
    distance: Math.floor(c.local_attention / 2),
    thetas: { whole: far?.rope_theta ?? c.global_rope_theta, local: near?.rope_theta ?? c.local_rope_theta },
    paddingRow: padding,
    padId: padding ?? 0,
    epsilon: c.norm_eps,
    activation: c.hidden_activation,
    biased: { norms: c.norm_bias, attention: c.attention_bias, mlp: c.mlp_bias, head: c.classifier_bias },
    dropout: { embedding: c.embedding_dropout, attention: c.attention_dropout, mlp: c.mlp_dropout, head: c.classifier_dropout },
    pooling: c.classifier_pooling === 'mean' ? 'mean' : 'first',
    headActivation: c.classifier_activation,
  };
}

/** Every n-th block attends to the whole text, from the first block on. */
const alternating = (blocks: number, every: number) =>
  Array.from({ length: blocks }, (_, block) => (block % every === 0 ? 'full_attention' : 'sliding_attention'));
