/** The keys of config.json of Gemma 4's decoders: see `config-keys.ts`. */

import { z } from 'zod';
import { isRecord } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import { type ConfigValues, computed, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import type { VisionInput } from '../../../vision/vision-encoder.ts';
import { activation, size } from '../../common-keys.ts';
import { decoderKeys, headCount, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { chosenCount, count } from '../keys/expert-keys.ts';
import { imageTextKeys } from '../keys/image-text-keys.ts';

const layerCount = z.number().int().nonnegative().max(512);
const OF_EXPERTS = 'is for blocks with experts, which this class does not have';
const OF_OLDER = 'is not read by Transformers either: rope_parameters counts';

/** Refuses bidirectional attention other than for images: only image tokens attend to each other both ways, and text alone is causal. */
const causalOfText = refusedUnless(['vision'], 'use_bidirectional_attention');

/** The sizes of blocks with global attention, by block number, as Transformers 5 writes them. */
const perLayer = z
  .record(z.string().regex(/^\d+$/), z.looseObject({ head_dim: size(1024).nullish(), num_key_value_heads: size(1024).nullish() }))
  .nullish();

const shared = {
  ...decoderKeys,
  ...sizeKeys({ vocab_size: 262144, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 30, num_attention_heads: 8 }),
  num_key_value_heads: headCount(4),
  head_dim: computed(size(1024).default(256)),
  global_head_dim: computed(size(1024).multipleOf(2).default(512)),
  num_global_key_value_heads: computed(size(1024).nullish()),
  per_layer_config: computed(perLayer),
  attention_k_eq_v: computed(z.boolean().default(false)),
  num_kv_shared_layers: computed(layerCount.default(0)),
  use_double_wide_mlp: computed(z.boolean().default(false)),
  hidden_activation: activation('gelu_pytorch_tanh'),
  attention_bias: computed(z.boolean().default(false)),
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: paddingId(0),
  layer_types: computed(
    z
      .array(z.enum(['full_attention', 'sliding_attention']))
      .max(512)
      .nullish(),
  ),
  final_logit_softcapping: computed(z.number().positive().nullish()),
  ...causalOfText,
  ...withoutEffect('is of older files; hidden_activation counts', 'hidden_act'),
  ...withoutEffect('is of older files; moe_intermediate_size counts', 'expert_intermediate_size'),
  ...withoutEffect(OF_OLDER, 'rope_theta', 'rope_scaling', 'partial_rotary_factor', 'original_max_position_embeddings'),
} as const;

export const gemma4Keys = {
  ...shared,
  ...sizeKeys({ max_position_embeddings: 131072 }),
  sliding_window: computed(z.number().int().positive().default(512)),
  hidden_size_per_layer_input: computed(z.number().int().nonnegative().max(65536).nullish().default(256)),
  vocab_size_per_layer_input: computed(size(2 ** 20).default(262144)),
  ...withoutEffect('says what else a model gives out', 'output_router_logits'),
  enable_moe_block: computed(z.boolean().default(false)),
  num_experts: computed(count.nullish()),
  top_k_experts: computed(chosenCount.nullish()),
  moe_intermediate_size: computed(size(262144).nullish()),
} as const satisfies KeyTable;

/** Keys of a decoder without inputs per layer and without experts. */
export const gemma4UnifiedKeys = {
  ...shared,
  ...sizeKeys({ max_position_embeddings: 262144 }),
  sliding_window: computed(z.number().int().positive().default(1024)),
  ...refusedUnless([0], 'hidden_size_per_layer_input'),
  ...refusedUnless([false], 'enable_moe_block'),
  ...withoutEffect('is for inputs of each layer, which this class does not have', 'vocab_size_per_layer_input'),
  ...withoutEffect(OF_EXPERTS, 'num_experts', 'top_k_experts', 'moe_intermediate_size'),
} as const satisfies KeyTable;

export type Gemma4Values = ConfigValues<typeof shared>;

/** Any part with a config of its own; null for a model without it. */
const part = computed(z.record(z.string(), z.unknown()).nullish());

/** A token that stands for something other than text. */
const placeholder = (usual: number) => computed(z.number().int().nonnegative().nullish().default(usual));

export const gemma4ImageKeys = {
  ...imageTextKeys,
  vision_config: part,
  audio_config: part,
  image_token_id: computed(z.number().int().nonnegative().default(258880)),
  audio_token_id: placeholder(258881),
  video_token_id: placeholder(258884),
  vision_soft_tokens_per_image: computed(size(4096).default(280)),
  ...withoutEffect('is written around images, and read as any other token', 'boi_token_id', 'eoi_token_id'),
  ...withoutEffect(
    'is of sounds, which are not read',
    ...(['boa_token_id', 'eoa_token_id', 'eoa_token_index', 'audio_soft_tokens_per_image', 'audio_ms_per_token'] as const),
  ),
} as const satisfies KeyTable;

interface Gemma4Images {
  /** The default of `use_bidirectional_attention`. */
  readonly usual?: 'vision';
  /** The blocks in which the tokens of an image attend to each other if that key asks for it. */
  readonly within: 'all' | 'windowed';
}

/** How vectors of images enter the text. */
export const gemma4Images =
  ({ usual, within }: Gemma4Images) =>
  ({
    vision_config: eyes,
    image_token_id: imageToken,
    vision_soft_tokens_per_image: most,
    text_config: text,
  }: ConfigJson): VisionInput | undefined => {
    if (!isRecord(eyes)) return undefined;
    const { use_bidirectional_attention: attends = usual }: ConfigJson = isRecord(text) ? text : {};
    const own = { imageToken: Number(imageToken), positions: 'counted', deepstack: 0 } as const;
    return attends === 'vision' ? { ...own, attendsWithin: within, tokensPerImage: Number(most) } : { ...own, attendsWithin: false };
  };

/** Tokens that Transformers replaces by padding wherever they are. */
export const gemma4Placeholders = ({ image_token_id: image, audio_token_id: audio, video_token_id: video }: ConfigJson): number[] =>
  [image, audio, video].filter(id => typeof id === 'number');

export function gemma4Remark({ vision_config: eyes, audio_config: ears }: ConfigJson): string | undefined {
  if (!isRecord(eyes)) return 'Only the text part of this model is loaded: it reads no images and hears no sound.';
  return isRecord(ears) ? 'The part of this model that hears is not loaded: it reads texts and images.' : undefined;
}
