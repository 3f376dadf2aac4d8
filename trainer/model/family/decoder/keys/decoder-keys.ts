/** The keys of config.json that all decoders or several families share: see `config-keys.ts`. */

import { z } from 'zod';
import { namesOf } from '../../../../catalog/entries.ts';
import type { ConfigJson } from '../../../config-json.ts';
import { type ComputedKey, type ConfigValues, computed, type RefusedKey, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, causalKeys, epsilon, rate, size } from '../../common-keys.ts';
import { mlxWeights, storedWeights } from './quantization-keys.ts';
import { rotaryKeys } from './rope-config.ts';

/** A number of heads, or the size of one; null if it follows from other keys. */
export const headCount = (usual: number | null) => computed(size(1024).nullish().default(usual));

/** Bounds of a decoder's sizes: four times the largest published ones. */
const MAX_SIZES = {
  vocab_size: 2 ** 20,
  hidden_size: 65536,
  intermediate_size: 262144,
  num_hidden_layers: 512,
  num_attention_heads: 1024,
  max_position_embeddings: 2 ** 24,
  n_embd: 65536,
  n_layer: 512,
  n_head: 1024,
  n_positions: 2 ** 20,
} as const;

type SizeWithDefault = ComputedKey<z.ZodDefault<z.ZodNumber>>;

/** Keys of sizes with the defaults of a family. */
export const sizeKeys = <Name extends keyof typeof MAX_SIZES>(
  usual: Readonly<Record<Name, number>>,
): Readonly<Record<Name, SizeWithDefault>> =>
  // Every name gets a key.
  Object.fromEntries(namesOf(usual).map(name => [name, computed(size(MAX_SIZES[name]).default(usual[name]))])) as Record<
    Name,
    SizeWithDefault
  >;

/** A key that Transformers does not read: other keys give its value. */
export const same = (value: (config: ConfigJson) => unknown): RefusedKey => ({ class: 'refused', unless: config => [value(config)] });

/** The head size, in families in which it follows from other keys. */
export const impliedHeadDim = same(({ hidden_size: hidden, num_attention_heads: heads }) => Number(hidden) / Number(heads));

/** The token that pads texts; null if there is none. */
export const paddingId = (usual: number) => computed(z.number().int().nullish().default(usual));

/** The keys that these decoders share. */
export const decoderKeys = {
  ...causalKeys,
  ...rotaryKeys,
  vocab_size: computed(size(MAX_SIZES.vocab_size)),
  hidden_size: computed(size(MAX_SIZES.hidden_size)),
  intermediate_size: computed(size(MAX_SIZES.intermediate_size)),
  num_hidden_layers: computed(size(MAX_SIZES.num_hidden_layers)),
  num_attention_heads: computed(size(MAX_SIZES.num_attention_heads)),
  head_dim: headCount(null),
  max_position_embeddings: computed(size(MAX_SIZES.max_position_embeddings)),
  rms_norm_eps: epsilon(1e-6),
  hidden_act: activation('silu'),
  tie_word_embeddings: computed(z.boolean().default(false)),
  attention_dropout: computed(rate.nullish()),
  pad_token_id: computed(z.number().int().nullish()),
  ...refusedUnless([true], 'is_causal'),
  ...withoutEffect('belongs to the code of Transformers, not to a file', 'ignore_keys_at_rope_validation'),
  quantization_config: storedWeights,
  quantization: mlxWeights,
} as const;

/** The size of a window; null if no block has one. */
export const windowSize = computed(z.number().int().positive().nullish().default(4096));
const everyLayer =
  (type: string) =>
  ({ layer_types: types }: ConfigJson) => [Array.isArray(types) ? types.map(() => type) : []];

/** Window keys of families in which all blocks have global attention. */
export const noWindows = {
  layer_types: { class: 'refused', unless: everyLayer('full_attention'), supported: '"full_attention" in every layer' },
  ...refusedUnless([], 'sliding_window', 'attention_chunk_size'),
} as const;

/** For families in which Transformers ignores the list and uses a window in every layer: other lists were meant for another model class. */
export const sameTypes: RefusedKey = {
  class: 'refused',
  unless: config => (config.sliding_window === null ? everyLayer('full_attention') : everyLayer('sliding_attention'))(config),
  supported: '"sliding_attention" in every layer ("full_attention" with a sliding_window of null)',
};

/** The type of each block. */
export const listedTypes = computed(
  z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(512)
    .nullish(),
);

/** Window keys of Qwen: the window applies to some layers, and has a switch. */
export const switchedWindow = {
  use_sliding_window: computed(z.boolean().default(false)),
  sliding_window: windowSize,
  max_window_layers: computed(z.number().int().nonnegative().default(28)),
  layer_types: listedTypes,
} as const;

export const biased = computed(z.boolean().default(false));

/** The sizes that all families have. */
export type Sizes = ConfigValues<typeof decoderKeys>;
