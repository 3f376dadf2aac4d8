/**
 * Reads the config.json of NomicBERT (Nussbaum et al. 2024), as Transformers 5 writes it, or with the keys of the code that came with the
 * first files.
 */
import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, type KeyTable, readConfig, refused, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activation, rate, size } from '../common-keys.ts';
import type { BertConfig } from './bert.ts';
import { nomicBertBlock } from './block-names.ts';
import { type RotaryBertForm, rotaryBertConfig, rotaryBertKeys } from './rotary-bert-config.ts';

/** The keys of the first files, and those of Transformers, which take precedence. */
const FIRST_KEYS = {
  n_embd: 'hidden_size',
  n_layer: 'num_hidden_layers',
  n_head: 'num_attention_heads',
  n_inner: 'intermediate_size',
  n_positions: 'max_position_embeddings',
  layer_norm_epsilon: 'layer_norm_eps',
  attn_pdrop: 'attention_probs_dropout_prob',
  resid_pdrop: 'hidden_dropout_prob',
  rotary_emb_base: 'rope_theta',
} as const;

/** The first code's names of gated activations. */
const GATED: Readonly<Record<string, string>> = { swiglu: 'silu', geglu: 'gelu' };

/** The values of keys that a config leaves out, in the first code. */
const FIRST_DEFAULTS = {
  attn_pdrop: 0.1,
  resid_pdrop: 0.1,
  layer_norm_epsilon: 1e-5,
  n_positions: 1024,
  rotary_emb_base: 10_000,
  rotary_emb_fraction: 0,
  activation_function: 'gelu_new',
  ...{ qkv_proj_bias: true, mlp_fc1_bias: true, mlp_fc2_bias: true },
} as const;

const first = computed(z.unknown().optional());

export const nomicBertKeys = {
  ...rotaryBertKeys,
  vocab_size: computed(size(2 ** 21).default(30528)),
  max_position_embeddings: computed(size(2 ** 20).default(2048)),
  type_vocab_size: computed(z.number().int().min(0).max(1024).default(2)),
  hidden_act: activation('silu'),
  hidden_dropout_prob: computed(rate.default(0)),
  ...{ n_embd: first, n_layer: first, n_head: first, n_inner: first, n_positions: first, layer_norm_epsilon: first },
  ...{ attn_pdrop: first, resid_pdrop: first, rotary_emb_base: first },
  activation_function: computed(z.string().nullish(), Object.keys(GATED)),
  ...refusedUnless([1], 'rotary_emb_fraction'),
  ...refusedUnless([false], 'qkv_proj_bias', 'mlp_fc1_bias', 'mlp_fc2_bias', 'prenorm', 'parallel_block', 'parallel_block_tied_norm'),
  ...refusedUnless([false], 'causal', 'use_rms_norm', 'rotary_emb_interleaved', 'rotary_head_dim', 'norm_mlp', 'add_pooling_layer'),
  ...refusedUnless([0, -1], 'moe_every_n_layers'),
  ...refusedUnless([0, 1], 'num_experts'),
  ...refused('rotary_emb_scale_base', 'rotary_scaling_factor', 'num_heads_kv'),
  ...withoutEffect('says how the same numbers are computed', 'use_flash_attn', 'fused_bias_fc', 'fused_dropout_add_ln', 'use_xentropy'),
  ...withoutEffect('says what else a model gives out', 'dense_seq_output', 'last_layer_subset'),
  ...withoutEffect('says how vocab_size was rounded', 'pad_vocab_size_multiple'),
  ...withoutEffect('is for positions with a rotary_scaling_factor', 'max_trained_positions'),
  ...withoutEffect(
    "is GPT-2's, whose config the first code extends, and is not read",
    ...(['embd_pdrop', 'n_ctx', 'reorder_and_upcast_attn', 'scale_attn_by_inverse_layer_idx', 'scale_attn_weights'] as const),
    ...(['summary_activation', 'summary_first_dropout', 'summary_proj_to_labels', 'summary_type', 'summary_use_proj'] as const),
  ),
} as const satisfies KeyTable;

/** Returns the config with Transformers' keys. */
function inToday(file: ConfigJson): ConfigJson {
  if (file.n_embd === undefined) return file;
  const given = Object.fromEntries(Object.entries(file).filter(([, value]) => value !== null && value !== undefined));
  const json: ConfigJson = { ...FIRST_DEFAULTS, ...given };
  const renamed = Object.fromEntries(
    Object.entries(FIRST_KEYS).flatMap(([key, now]) => (json[key] === undefined ? [] : [[now, json[key]]])),
  );
  return { ...renamed, hidden_act: GATED[String(json.activation_function)], ...json };
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function nomicBertConfig(architecture: string, form: RotaryBertForm, file: ConfigJson, options: ModelOptions): BertConfig {
  const json = inToday(file);
  return rotaryBertConfig({
    family: 'nomic_bert',
    architecture,
    form,
    json,
    options,
    reading: readConfig(nomicBertKeys, architecture, json),
    usual: { theta: 1000, pad: 0 },
    blockNames: nomicBertBlock,
    own: { biased: { attention: false, up: false, down: false }, normInFiles: { name: `${form.prefix}emb_ln` } },
  });
}
