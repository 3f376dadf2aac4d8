/** The keys of config.json of models that also take images, and whose text part is a decoder: see `config-keys.ts`. */

import { z } from 'zod';
import { computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, causalKeys, size } from '../../common-keys.ts';
import { decoderKeys } from './decoder-keys.ts';

const eyes = 'is of the part that sees images, which is not loaded';

/** Keys of models that also take images: the text part has its own config. */
export const imageTextKeys = {
  ...causalKeys,
  text_config: computed(z.record(z.string(), z.unknown()).default({})),
  tie_word_embeddings: computed(z.boolean().default(true)),
  ...withoutEffect(eyes, 'vision_config', 'vision_feature_layer', 'image_token_index', 'image_token_id'),
  ...withoutEffect('is read from text_config', 'pad_token_id'),
  quantization_config: decoderKeys.quantization_config,
  quantization: decoderKeys.quantization,
} as const satisfies KeyTable;

const tower = computed(z.record(z.string(), z.unknown()).default({}));
const tokenId = z.number().int().nonnegative();

export const gemma3ImageKeys = {
  ...imageTextKeys,
  vision_config: tower,
  mm_tokens_per_image: computed(size(4096).default(256)),
  image_token_index: computed(tokenId.default(262144)),
  image_token_id: computed(tokenId.optional()),
  ...withoutEffect('is of tokens around images, which the text has', 'boi_token_index', 'eoi_token_index', 'boi_token_id', 'eoi_token_id'),
} as const satisfies KeyTable;

/** Transformers' tower for a config of Mistral 3 without one; other sizes are the defaults of its keys. */
export const mistral3Eyes = { patch_size: 14 };

export const mistral3ImageKeys = {
  ...imageTextKeys,
  vision_config: computed(z.record(z.string(), z.unknown()).default(mistral3Eyes)),
  image_token_index: computed(tokenId.default(10)),
  image_token_id: computed(tokenId.optional()),
  projector_hidden_act: activation('gelu'),
  multimodal_projector_bias: computed(z.boolean().default(false)),
  spatial_merge_size: computed(size(64).default(2)),
  ...refusedUnless([-1], 'vision_feature_layer'),
} as const satisfies KeyTable;

export const lfm2VlImageKeys = {
  ...imageTextKeys,
  vision_config: tower,
  image_token_id: computed(tokenId.default(396)),
  tie_embedding: computed(z.boolean().nullish()),
  projector_hidden_act: activation('gelu'),
  projector_hidden_size: computed(size(65536).default(2560)),
  projector_bias: computed(z.boolean().default(true)),
  projector_use_layernorm: computed(z.boolean().default(true)),
  downsample_factor: computed(size(64).default(2)),
  ...refusedUnless([-1], 'vision_feature_layer'),
  ...withoutEffect('is an older name that Transformers does not read; image_token_id applies', 'image_token_index'),
  ...withoutEffect('is of older versions, which took all patches too', 'vision_feature_select_strategy'),
  ...withoutEffect(
    'belongs to the processor',
    ...(['do_image_splitting', 'encoder_patch_size', 'max_image_tokens', 'max_num_patches', 'max_pixels_tolerance', 'max_tiles'] as const),
    ...(['min_image_tokens', 'min_tiles', 'tile_size', 'use_image_special_tokens', 'use_thumbnail'] as const),
  ),
} as const satisfies KeyTable;

export const lfm3VlImageKeys = {
  ...imageTextKeys,
  vision_config: tower,
  image_token_id: computed(tokenId.default(125_030)),
  projector_hidden_act: activation('gelu'),
  projector_hidden_size: computed(size(65536).default(4096)),
  projector_bias: computed(z.boolean().default(true)),
  ...withoutEffect('is of videos, which are not read', 'video_token_id'),
  ...withoutEffect('is written by the chat template, and read as any other token', 'vision_start_token_id', 'vision_end_token_id'),
} as const satisfies KeyTable;

/** Transformers' tower for a config of LightOnOCR without one; other sizes are the defaults of its keys. */
export const lightOnEyes = { patch_size: 14, hidden_act: 'silu' };

export const lightOnImageKeys = {
  ...imageTextKeys,
  vision_config: computed(z.record(z.string(), z.unknown()).default(lightOnEyes)),
  image_token_id: computed(tokenId.default(151_655)),
  spatial_merge_size: computed(size(64).default(2)),
  // Keys of Mistral 3 in published files, which Transformers does not read: it computes with these values.
  ...refusedUnless(['gelu'], 'projector_hidden_act'),
  ...refusedUnless([false], 'multimodal_projector_bias'),
  ...refusedUnless([-1], 'vision_feature_layer'),
} as const satisfies KeyTable;

/** The keys of GLM-4V and GLM-OCR. @param imageToken the default id of the token in place of which vectors of images stand */
export const glmImageKeys = (imageToken: number) =>
  ({
    ...imageTextKeys,
    tie_word_embeddings: computed(z.boolean().default(false)),
    vision_config: tower,
    image_token_id: computed(tokenId.default(imageToken)),
    ...withoutEffect('is of videos, which are not read', 'video_token_id', 'video_start_token_id', 'video_end_token_id'),
    ...withoutEffect('is written by the chat template, and read as any other token', 'image_start_token_id', 'image_end_token_id'),
  }) as const satisfies KeyTable;

export const internVlImageKeys = {
  ...imageTextKeys,
  vision_config: tower,
  image_token_id: computed(tokenId.default(151667)),
  downsample_ratio: computed(z.number().positive().max(1).default(0.5)),
  projector_hidden_act: activation('gelu'),
  ...refusedUnless([-1], 'vision_feature_layer'),
  ...refusedUnless(['default'], 'vision_feature_select_strategy'),
  ...withoutEffect('follows from the other sizes', 'image_seq_length'),
  ...withoutEffect('is read from text_config', 'hidden_size'),
} as const satisfies KeyTable;

export const miniCpmVImageKeys = {
  ...imageTextKeys,
  tie_word_embeddings: computed(z.boolean().default(false)),
  vision_config: tower,
  image_token_id: computed(tokenId.nullish()),
  insert_layer_id: computed(z.number().int().nonnegative().max(256).default(6)),
  ...refusedUnless(['16x'], 'downsample_mode'),
  ...refusedUnless([1], 'merger_times'),
  merge_kernel_size: computed(z.tuple([z.literal(2), z.literal(2)]).default([2, 2])),
  ...withoutEffect('is not read by Transformers', 'drop_vision_last_layer'),
  ...withoutEffect('belongs to the processor', 'image_size'),
  ...withoutEffect('is read from vision_config', 'patch_size'),
  ...withoutEffect('is of videos, which are not read', 'video_token_id'),
} as const satisfies KeyTable;

/** The keys of SmolVLM and Idefics3. */
export const smolvlmImageKeys = {
  ...imageTextKeys,
  tie_word_embeddings: computed(z.boolean().default(false)),
  vision_config: tower,
  image_token_id: computed(tokenId.default(128257)),
  scale_factor: computed(size(64).default(2)),
  ...withoutEffect('is read from text_config', 'vocab_size', '_pad_token_id'),
  ...withoutEffect('says how the same numbers are computed', 'use_reentrant_checkpointing'),
} as const satisfies KeyTable;
