/**
 * Reads the config.json of GTE (Zhang et al. 2024), as Transformers 5 writes it, or with the keys of the code that came with the first
 * files, whose classes are called New.
 */
import { z } from 'zod';
import { isRecord } from '../../../narrow.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, type KeyTable, readConfig, refusedUnless, withoutEffect } from '../../config-keys.ts';
import { activation, rate, size } from '../common-keys.ts';
import type { BertConfig } from './bert.ts';
import { gteBlock } from './block-names.ts';
import { type RotaryBertForm, rotaryBertConfig, rotaryBertKeys } from './rotary-bert-config.ts';

export const gteKeys = {
  ...rotaryBertKeys,
  vocab_size: computed(size(2 ** 21).default(250048)),
  max_position_embeddings: computed(size(2 ** 20).default(8192)),
  type_vocab_size: computed(z.number().int().min(0).max(1024).default(1)),
  hidden_act: activation('gelu'),
  hidden_dropout_prob: computed(rate.default(0.1)),
  ...refusedUnless(['rope'], 'position_embedding_type'),
  ...refusedUnless(['layer_norm'], 'layer_norm_type'),
  ...refusedUnless([true], 'pack_qkv'),
  ...refusedUnless([false], 'logn_attention_scale'),
  ...withoutEffect('is for attention with a logn_attention_scale', 'logn_attention_clip1'),
  ...withoutEffect('says how the same numbers are computed', 'unpad_inputs', 'use_memory_efficient_attention'),
} as const satisfies KeyTable;

export interface GteForm extends RotaryBertForm {
  /** The base of the positions, and the padding token, if the config names none. */
  readonly usual: { readonly theta: number; readonly pad: number };
}

/**
 * Returns the config with positions of the first code's type "ntk" written as Transformers' linear ones: it multiplies the base by a factor s
 * and divides all frequencies by s^(2 / d), for heads of d features.
 */
function inToday(file: ConfigJson, theta: number): ConfigJson {
  const { rope_scaling: scaling, rope_theta: base = theta, hidden_size: width = 768, num_attention_heads: heads = 12 } = file;
  if (!isRecord(scaling) || (scaling.rope_type ?? scaling.type) !== 'ntk' || (scaling.mixed_b ?? null) !== null) return file;
  const [s, d] = [Number(scaling.factor), Number(width) / Number(heads)];
  const { rope_scaling: _, rope_theta: __, ...rest } = file;
  return s >= 1 ? { ...rest, rope_parameters: { rope_type: 'linear', rope_theta: Number(base) * s, factor: s ** (2 / d) } } : file;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function gteConfig(architecture: string, { usual, ...form }: GteForm, file: ConfigJson, options: ModelOptions): BertConfig {
  const json = inToday(file, usual.theta);
  const reading = readConfig(gteKeys, architecture, json);
  return rotaryBertConfig({
    family: 'gte',
    architecture,
    form,
    json,
    options,
    reading,
    usual,
    blockNames: gteBlock,
    own: { biased: { attention: true, up: false, down: true }, innerDropout: reading.values.hidden_dropout_prob },
  });
}
