/** GPT-2 (Radford et al. 2019) and DistilGPT-2: layer norms with shifts, learned positions, and a head tied to the embedding. */

import { z } from 'zod';
import type { ConfigJson } from '../../../config-json.ts';
import { computed, type KeyTable, withoutEffect } from '../../../config-keys.ts';
import { GPT2_SIZES } from '../../../size-keys.ts';
import { activation, epsilon, rate } from '../../common-keys.ts';
import { gpt2Names } from '../blocks/names.ts';
import { decoderKeys, noWindows, sizeKeys } from '../keys/decoder-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const USUAL = { n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 } as const;

/** The sizes under the names that other decoders have. Transformers reads these too, and they take precedence. */
const sizesOf = (config: ConfigJson): ConfigJson =>
  Object.fromEntries(Object.entries(GPT2_SIZES).map(([key, own]) => [key, typeof config[own] === 'number' ? config[own] : USUAL[own]]));

const gpt2Keys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({ vocab_size: 50257, ...USUAL }),
  n_inner: computed(decoderKeys.intermediate_size.schema.nullish()),
  activation_function: activation('gelu_new'),
  layer_norm_epsilon: epsilon(1e-5),
  ...{ resid_pdrop: computed(rate.default(0.1)), embd_pdrop: computed(rate.default(0.1)), attn_pdrop: computed(rate.default(0.1)) },
  scale_attn_weights: computed(z.boolean().default(true)),
  scale_attn_by_inverse_layer_idx: computed(z.boolean().default(false)),
  tie_word_embeddings: computed(z.boolean().default(true)),
  ...withoutEffect('says how the same numbers are computed', 'reorder_and_upcast_attn'),
  ...withoutEffect(
    'is for a head of another class',
    'summary_use_proj',
    'summary_activation',
    'summary_proj_to_labels',
    'summary_first_dropout',
  ),
  ...withoutEffect('is not read: n_positions counts', 'n_ctx'),
  ...withoutEffect('is not read', '_num_labels', 'predict_special_tokens', 'n_special'),
  ...withoutEffect('is not read: n_inner counts', 'intermediate_size'),
  ...withoutEffect('is not read: n_embd and n_head count', 'head_dim', 'num_key_value_heads'),
  ...withoutEffect('is not read: activation_function counts', 'hidden_act', 'afn'),
  ...withoutEffect('is not read: layer_norm_epsilon counts', 'rms_norm_eps', 'layer_norm_eps'),
  ...withoutEffect('is not read: attn_pdrop counts', 'attention_dropout'),
  ...withoutEffect(
    'is not read: positions are learned',
    ...(['rope_theta', 'rope_scaling', 'rope_parameters', 'original_max_position_embeddings', 'partial_rotary_factor'] as const),
  ),
} as const satisfies KeyTable;

export const gpt2 = familyOf({
  family: 'gpt2',
  names: gpt2Names,
  keys: gpt2Keys,
  defaults: sizesOf,
  own: c => ({
    biases: alike(true),
    mlpBias: true,
    windows: everywhere(c, undefined),
    usesRope: everywhere(c, false),
    intermediateSizes: everywhere(c, c.n_inner ?? 4 * c.hidden_size),
    activation: c.activation_function,
    norms: { epsilon: c.layer_norm_epsilon, offset: 0, centered: true, shifted: true },
    ...(!c.scale_attn_weights && { scale: 1 }),
    dividesByLayer: c.scale_attn_by_inverse_layer_idx,
    attentionDropout: c.attn_pdrop,
    embeddingDropout: c.embd_pdrop,
    residualDropout: c.resid_pdrop,
    trainsPadding: true,
  }),
});
