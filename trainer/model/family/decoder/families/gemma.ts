/** Gemma 1 to 3 and VaultGemma: scaled embeddings and norms whose weights count from 1; from Gemma 2 on, norms around attention and MLP, and soft caps. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, size } from '../../common-keys.ts';
import { gemmaNames, vaultGemmaNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, listedTypes, noWindows, paddingId, sizeKeys, windowSize } from '../keys/decoder-keys.ts';
import { everywhere, type LayerType, layerTypes, type Windows, windowsOf } from '../keys/layers.ts';
import { alike, familyOf, type Own } from './family.ts';

const gemmaKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({
    vocab_size: 256000,
    hidden_size: 3072,
    intermediate_size: 24576,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    max_position_embeddings: 8192,
  }),
  num_key_value_heads: headCount(16),
  head_dim: computed(size(1024).default(256)),
  hidden_act: activation('gelu_pytorch_tanh'),
  attention_bias: biased,
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: paddingId(0),
  ...refusedUnless([false], 'use_bidirectional_attention'),
  ...withoutEffect('is not read: hidden_act counts', 'hidden_activation'),
} as const satisfies KeyTable;

/** The norms and the scaled embeddings of all generations. */
const scaled = (c: Pick<ConfigValues<typeof gemmaKeys>, 'rms_norm_eps' | 'hidden_size'>) =>
  ({
    norms: { epsilon: c.rms_norm_eps, offset: 1 },
    multipliers: { embeddingMultiplier: { factor: Math.sqrt(c.hidden_size), rounded: true } },
  }) as const;

export const gemma1 = familyOf({
  family: 'gemma',
  keys: gemmaKeys,
  own: c => ({
    ...scaled(c),
    biases: alike(c.attention_bias),
    windows: everywhere(c, undefined),
    // Files of the first release name the exact function and mean this approximation, as in Transformers.
    activation: c.hidden_act === 'gelu' ? 'gelu_pytorch_tanh' : c.hidden_act,
  }),
});

const cap = computed(z.number().positive().nullish());

/** Keys of both Gemma 2 and Gemma 3. */
const gemmaCommon = {
  ...decoderKeys,
  ...sizeKeys({ num_attention_heads: 8 }),
  num_key_value_heads: headCount(4),
  head_dim: computed(size(1024).default(256)),
  hidden_activation: activation('gelu_pytorch_tanh'),
  attention_bias: biased,
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: paddingId(0),
  query_pre_attn_scalar: computed(z.number().positive().default(256)),
  sliding_window: windowSize,
  layer_types: listedTypes,
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
  ...withoutEffect('says how keys and values are cached', 'cache_implementation'),
} as const;

const gemma2Keys = {
  ...gemmaCommon,
  ...refusedUnless([false], 'use_bidirectional_attention'),
  ...withoutEffect('is of older files; hidden_activation counts', 'hidden_act'),
  attn_logit_softcapping: computed(z.number().positive().nullish().default(50)),
  final_logit_softcapping: computed(z.number().positive().nullish().default(30)),
  ...withoutEffect('is for Gemma 3', 'sliding_window_pattern'),
  ...withoutEffect('is of older files; sliding_window counts', 'sliding_window_size'),
} as const satisfies KeyTable;

const gemma3Keys = {
  ...gemmaCommon,
  ...withoutEffect('is of older files; hidden_activation counts', 'hidden_act'),
  ...sizeKeys({ vocab_size: 262208, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26, max_position_embeddings: 131072 }),
  use_bidirectional_attention: computed(z.boolean().nullish()),
  rope_local_base_freq: computed(z.number().positive().nullish()),
  sliding_window_pattern: computed(z.number().int().positive().max(512).nullish().default(6)),
  ...withoutEffect('says what layer_types says', '_sliding_window_pattern'),
} as const satisfies KeyTable;

const gemma = (c: ConfigValues<typeof gemma2Keys> | ConfigValues<typeof gemma3Keys>, types: readonly LayerType[]): Own => ({
  biases: alike(c.attention_bias),
  windows: windowsOf(c, types),
  activation: c.hidden_activation,
  scale: c.query_pre_attn_scalar ** -0.5,
  cap: c.attn_logit_softcapping ?? undefined,
  logitCap: c.final_logit_softcapping ?? undefined,
  ...scaled(c),
});

/** Half of a window lies on each side of a token that attends both ways; the token counts in both halves. */
const halfToEachSide = (window: Windows[number]): Windows[number] => (typeof window === 'number' ? Math.floor(window / 2) + 1 : window);

export const gemma2 = familyOf({ family: 'gemma2', names: gemmaNames, keys: gemma2Keys, own: c => gemma(c, layerTypes(c, 2)) });

/** Gemma 2 with norms before attention and MLP alone. */
export const vaultGemma = familyOf({
  family: 'vaultgemma',
  names: vaultGemmaNames,
  keys: gemma2Keys,
  own: c => gemma(c, layerTypes(c, 2)),
});

export const gemma3 = familyOf({
  family: 'gemma3',
  names: gemmaNames,
  keys: gemma3Keys,
  own: c => {
    const types = layerTypes(c, c.sliding_window_pattern ?? 6);
    const thetas = { full_attention: c.rope_theta ?? 1e6, sliding_attention: c.rope_local_base_freq ?? 1e4 };
    const isBidirectional = c.use_bidirectional_attention ?? false;
    const own = gemma(c, types);
    const windows = isBidirectional ? own.windows.map(halfToEachSide) : own.windows;
    return { ...own, windows, isBidirectional, innerNorms: 'heads', ropesByType: { types, thetas } };
  },
});
