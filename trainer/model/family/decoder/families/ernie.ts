/**
 * ERNIE 4.5: Llama, but neighboring features rotate in pairs, and one key adds biases to all layers of a block. A variant has mixtures of
 * experts in place of most MLPs.
 */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { epsilon, size } from '../../common-keys.ts';
import { qwenExperts } from '../blocks/expert-names.ts';
import type { DecoderExperts } from '../blocks/experts.ts';
import { biased, decoderKeys, headCount, noWindows, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count, expertKeys, gatedBy } from '../keys/expert-keys.ts';
import { everywhere } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';

const sharedKeys = {
  ...decoderKeys,
  ...noWindows,
  ...sizeKeys({ vocab_size: 103424, max_position_embeddings: 131072 }),
  rms_norm_eps: epsilon(1e-5),
  pad_token_id: paddingId(0),
  tie_word_embeddings: computed(z.boolean().default(true)),
  ...withoutEffect('is not read: nothing is dropped', 'attention_dropout'),
  ...refusedUnless([false], 'attention_bias', 'mlp_bias', 'use_sliding_window'),
} as const;

const ernieKeys = {
  ...sharedKeys,
  ...sizeKeys({ hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 18, num_attention_heads: 16 }),
  num_key_value_heads: headCount(2),
  head_dim: headCount(128),
  use_bias: biased,
} as const satisfies KeyTable;

export const ernie = familyOf({
  family: 'ernie4_5',
  keys: ernieKeys,
  rope: { theta: 5e5 },
  own: c => ({ biases: alike(c.use_bias), mlpBias: c.use_bias, windows: everywhere(c, undefined), rotatesNeighbors: true }),
});

export const paddleOcrKeys = {
  ...ernieKeys,
  ...withoutEffect(
    'is not read by Transformers',
    ...(['compression_ratio', 'hidden_dropout_prob', 'ignored_index', 'max_sequence_length', 'rope_is_neox_style', 'use_3d_rope'] as const),
    ...(['use_flash_attention', 'weight_share_add_bias'] as const),
  ),
  ...withoutEffect(
    'is of images, for which the keys next to text_config apply',
    ...(['image_token_id', 'video_token_id', 'vision_start_token_id', 'vision_end_token_id'] as const),
  ),
} as const satisfies KeyTable;

/** The text part of PaddleOCR-VL, whose features rotate in halves. */
export const paddleOcr = familyOf({
  family: 'paddleocr_vl',
  keys: paddleOcrKeys,
  rope: { theta: 5e5, aliases: { mrope: 'default' }, grid: { sections: [16, 24, 24], isInterleaved: false } },
  own: c => ({ biases: alike(c.use_bias), mlpBias: c.use_bias, windows: everywhere(c, undefined) }),
});

/** The index of a block. */
const block = z.number().int().nonnegative().max(512);

const ernieMoeKeys = {
  ...expertKeys,
  ...sharedKeys,
  ...sizeKeys({ hidden_size: 2560, intermediate_size: 12288, num_hidden_layers: 28, num_attention_heads: 20 }),
  num_key_value_heads: headCount(4),
  moe_intermediate_size: computed(size(262144).default(1536)),
  moe_num_experts: computed(count.default(64)),
  moe_k: computed(chosenCount.default(6)),
  moe_num_shared_experts: computed(count.or(z.literal(0)).default(2)),
  moe_layer_start_index: computed(block.default(1)),
  moe_layer_end_index: computed(block.or(z.literal(-1)).default(-1)),
  moe_layer_interval: computed(z.number().int().positive().max(512).default(1)),
  moe_norm_min: computed(z.number().positive().max(1).default(1e-12)),
  // Transformers then also adds a bias to the head, but not to the experts.
  ...refusedUnless([false], 'use_bias'),
  ...refused('num_experts', 'num_local_experts', 'num_experts_per_tok'),
  ...withoutEffect('is not read: no expert leaves a token out, and a softmax scores them', 'moe_capacity', 'moe_gate'),
  ...withoutEffect('says how a model was trained', 'moe_use_aux_free'),
  ...withoutEffect('is of the layers that guess further tokens, which are not loaded', 'num_nextn_predict_layers'),
} as const satisfies KeyTable;

type Config = ConfigValues<typeof ernieMoeKeys>;

/** For each block, whether it has experts. */
function mixtureLayers({ num_hidden_layers: length, moe_layer_interval: step, ...c }: Config): boolean[] {
  const end = c.moe_layer_end_index === -1 ? length - 1 : c.moe_layer_end_index;
  return Array.from({ length }, (_, layer) => (layer + 1) % step === 0 && layer >= c.moe_layer_start_index && layer <= end);
}

const mixtureOf = (c: Config): DecoderExperts => ({
  count: c.moe_num_experts,
  key: 'moe_num_experts',
  chosen: c.moe_k,
  chosenKey: 'moe_k',
  sumsToOne: true,
  scoring: { of: 'softmax', least: c.moe_norm_min, factor: 1 },
  choiceBias: 'mlp.moe_statics.e_score_correction_bias',
  routesInFloat32: true,
  ...(c.moe_num_shared_experts > 0 && {
    shared: {
      name: 'mlp.shared_experts',
      intermediateSize: c.moe_num_shared_experts * c.moe_intermediate_size,
      activation: c.hidden_act,
      gated: false,
    },
  }),
  intermediateSize: c.moe_intermediate_size,
  biased: false,
  layers: mixtureLayers(c),
  names: qwenExperts,
  gated: gatedBy(c.hidden_act),
});

export const ernieMoe = familyOf({
  family: 'ernie4_5_moe',
  keys: ernieMoeKeys,
  rope: { theta: 5e5 },
  own: c => ({ biases: alike(false), windows: everywhere(c, undefined), rotatesNeighbors: true, experts: mixtureOf(c) }),
});
