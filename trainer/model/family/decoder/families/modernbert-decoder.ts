/**
 * ModernBERT as a decoder (Ettin, Weller et al. 2025): layer norms, also of the embeddings; blocks that rotate according to their type, most
 * of which have a window; and layers before the head, which is the embedding with a bias.
 */

import { z } from 'zod';
import { type ConfigValues, computed, contradiction, type KeyTable, refused, withoutEffect } from '../../../config-keys.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { activation, epsilon, rate, size } from '../../common-keys.ts';
import { modernBertDecoderNames } from '../blocks/names.ts';
import { biased, decoderKeys, impliedHeadDim, listedTypes, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { type LayerType, typesOf } from '../keys/layers.ts';
import { SAME_AT_ANY_LENGTH } from '../keys/rope-config.ts';
import { alike, familyOf } from './family.ts';

const theta = z.number().positive();
const dropped = computed(rate.default(0));

const modernBertDecoderKeys = {
  ...decoderKeys,
  ...sizeKeys({
    vocab_size: 50368,
    hidden_size: 768,
    intermediate_size: 1152,
    num_hidden_layers: 22,
    num_attention_heads: 12,
    max_position_embeddings: 8192,
  }),
  hidden_activation: activation('gelu'),
  norm_eps: epsilon(1e-5),
  norm_bias: biased,
  attention_bias: biased,
  mlp_bias: biased,
  decoder_bias: computed(z.boolean().default(true)),
  classifier_bias: biased,
  classifier_activation: activation('gelu'),
  attention_dropout: dropped,
  embedding_dropout: dropped,
  mlp_dropout: dropped,
  classifier_dropout: dropped,
  local_attention: computed(z.number().int().nonnegative().nullish().default(128)),
  sliding_window: computed(z.number().int().nullish()),
  layer_types: listedTypes,
  global_attn_every_n_layers: computed(size(512).default(3)),
  global_rope_theta: computed(theta.default(160_000)),
  local_rope_theta: computed(theta.default(10_000)),
  pad_token_id: paddingId(50283),
  tie_word_embeddings: computed(z.boolean().default(true)),
  head_dim: impliedHeadDim,
  ...refused('rope_scaling', 'attention_chunk_size'),
  ...withoutEffect('is not read: every head has its own keys and values', 'num_key_value_heads'),
  ...withoutEffect('is not read: hidden_activation counts', 'hidden_act'),
  ...withoutEffect('is not read: norm_eps counts', 'rms_norm_eps', 'layer_norm_eps'),
  ...withoutEffect(
    'is not read: global_rope_theta and local_rope_theta count',
    ...(['rope_theta', 'original_max_position_embeddings', 'position_embedding_type'] as const),
  ),
  ...withoutEffect('is for new layers', 'initializer_cutoff_factor'),
  ...withoutEffect('is for encoders', 'classifier_pooling', 'sparse_prediction', 'sparse_pred_ignore_index'),
  ...withoutEffect(
    'says how the same numbers are computed',
    ...(['deterministic_flash_attn', 'reference_compile', 'repad_logits_with_grad', 'gradient_checkpointing'] as const),
  ),
} as const satisfies KeyTable;

/** Returns the window of blocks of the type "sliding_attention", half of `local_attention` as in the encoder. */
const windowOf = ({ sliding_window: own, local_attention: both }: ConfigValues<typeof modernBertDecoderKeys>): number =>
  own ?? Math.floor((both ?? 0) / 2);

const windowProblems = (c: ConfigValues<typeof modernBertDecoderKeys>, types: readonly LayerType[]): ConfigProblem[] =>
  windowOf(c) > 0 || !types.includes('sliding_attention')
    ? []
    : [
        contradiction(
          typeof c.sliding_window === 'number' ? 'sliding_window' : 'local_attention',
          `local_attention ${c.local_attention} gives layers of the type "sliding_attention" a window of ${windowOf(c)} tokens: it must be at least 2`,
        ),
      ];

export const modernBertDecoder = familyOf({
  family: 'modernbert-decoder',
  names: modernBertDecoderNames,
  keys: modernBertDecoderKeys,
  rope: { types: SAME_AT_ANY_LENGTH },
  own: c => {
    const types = typesOf(c, layer => layer % c.global_attn_every_n_layers === 0);
    return {
      biases: alike(c.attention_bias),
      mlpBias: c.mlp_bias,
      headBias: c.decoder_bias,
      headLayers: { activation: c.classifier_activation, biased: c.classifier_bias, dropout: c.classifier_dropout },
      windows: types.map(type => (type === 'sliding_attention' ? windowOf(c) : undefined)),
      ropesByType: { types, thetas: { full_attention: c.global_rope_theta, sliding_attention: c.local_rope_theta } },
      activation: c.hidden_activation,
      norms: { epsilon: c.norm_eps, offset: 0, centered: true, ...(c.norm_bias && { shifted: true }) },
      embeddingDropout: c.embedding_dropout,
      residualDropout: c.attention_dropout,
      mlpDropout: 0,
      mlpInnerDropout: c.mlp_dropout,
      problems: windowProblems(c, types),
    };
  },
});
