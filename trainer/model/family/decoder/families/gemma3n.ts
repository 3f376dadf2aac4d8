/**
 * Gemma 3n: blocks with several streams of states, a low-rank residual next to attention and an input for each; the last blocks read keys
 * and values of earlier ones, and in the first MLPs only the largest gates count.
 */

import { z } from 'zod';
import { isRecord } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import { type ConfigValues, computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { normalQuantile } from '../../../layer/normal-quantile.ts';
import type { ConfigProblem } from '../../../model-spec.ts';
import { activation, size } from '../../common-keys.ts';
import { gemmaNames } from '../blocks/names.ts';
import { biased, decoderKeys, headCount, listedTypes, paddingId, sizeKeys } from '../keys/decoder-keys.ts';
import { imageTextKeys } from '../keys/image-text-keys.ts';
import { everywhere, layerTypes, windowsOf } from '../keys/layers.ts';
import { alike, familyOf } from './family.ts';
import { sharedKeys, sharingProblems } from './gemma4.ts';

/** Shares of gates that do not count. Beyond this, hardly one in a hundred thousand is left. */
const MOST_SPARSE = 0.99999;

const gemma3nKeys = {
  ...decoderKeys,
  ...sizeKeys({ vocab_size: 262400, hidden_size: 2048, num_hidden_layers: 35, num_attention_heads: 8, max_position_embeddings: 32768 }),
  intermediate_size: computed(z.union([size(262144), z.array(size(262144)).max(512)]).default(16384)),
  num_key_value_heads: headCount(2),
  head_dim: computed(size(1024).default(256)),
  hidden_activation: activation('gelu_pytorch_tanh'),
  attention_bias: biased,
  tie_word_embeddings: computed(z.boolean().default(true)),
  pad_token_id: paddingId(0),
  sliding_window: computed(z.number().int().positive().default(512)),
  layer_types: listedTypes,
  rope_local_base_freq: computed(z.number().positive().nullish()),
  final_logit_softcapping: computed(z.number().positive().default(30)),
  hidden_size_per_layer_input: computed(size(65536).default(256)),
  vocab_size_per_layer_input: computed(size(2 ** 20).default(262144)),
  num_kv_shared_layers: computed(z.number().int().nonnegative().max(512).default(15)),
  altup_num_inputs: computed(z.number().int().min(2).max(64).default(4)),
  altup_active_idx: computed(z.number().int().nonnegative().max(63).default(0)),
  laurel_rank: computed(size(65536).default(64)),
  activation_sparsity_pattern: computed(z.array(z.number().min(0).max(MOST_SPARSE)).max(512).nullish()),
  ...refusedUnless([true], 'altup_correct_scale'),
  // Coefficients of published models are below 1; in training, Transformers keeps them within this bound.
  ...refusedUnless([120], 'altup_coef_clip'),
  ...refusedUnless([false], 'use_bidirectional_attention'),
  ...withoutEffect('is of older files; hidden_activation counts', 'hidden_act'),
  ...withoutEffect('is not read by Transformers either', 'query_pre_attn_scalar', 'altup_lr_multiplier'),
} as const satisfies KeyTable;

type Gemma3nConfig = ConfigValues<typeof gemma3nKeys>;

/** The part that sees or hears, of which only the first of its tokens in the text is read. @param first Transformers' default for it */
const tower = (first: number) =>
  computed(z.looseObject({ vocab_offset: z.number().int().nonnegative().default(first) }).default({ vocab_offset: first }));

/** Keys of a model that also sees and hears. */
export const gemma3nTextKeys = {
  ...imageTextKeys,
  vision_config: tower(262144),
  audio_config: tower(262272),
  ...withoutEffect('is one of the tokens from vocab_offset on', 'image_token_id', 'audio_token_id'),
  ...withoutEffect('is of the part that hears, which is not loaded', 'audio_soft_tokens_per_image'),
  ...withoutEffect('is of the part that sees images, which is not loaded', 'vision_soft_tokens_per_image'),
  ...withoutEffect('is a token around images and sounds', 'boi_token_id', 'eoi_token_id', 'boa_token_id', 'eoa_token_id'),
} as const satisfies KeyTable;

export const gemma3nRemark =
  'Only the text part of this model is loaded: it reads no images and hears no sound, and texts with the tokens that stand for them are refused.';

/** The tokens of images come after the text's, and those of sounds after them, up to the end of the vocabulary. */
export function gemma3nTextTokens({ vision_config: eyes, audio_config: ears }: ConfigJson): number | undefined {
  const first = [eyes, ears].flatMap(each => (isRecord(each) && typeof each.vocab_offset === 'number' ? [each.vocab_offset] : []));
  return first.length > 0 ? Math.min(...first) : undefined;
}

/** Without a list, nine of ten gates and half of the rest do not count in the first ten of more blocks. */
const SPARSE_BLOCKS = 10;
const usualSparsity = (layer: number, layers: number): number => (layers > SPARSE_BLOCKS && layer < SPARSE_BLOCKS ? 0.95 : 0);

export const gemma3n = familyOf({
  family: 'gemma3n',
  names: gemmaNames,
  keys: gemma3nKeys,
  own: c => {
    const types = layerTypes(c, 5);
    const firstShared = c.num_hidden_layers - c.num_kv_shared_layers;
    const keysFrom = sharedKeys(types, firstShared);
    const thetas = { full_attention: c.rope_theta ?? 1e6, sliding_attention: c.rope_local_base_freq ?? 1e4 };
    const sparsity = c.activation_sparsity_pattern ?? types.map((_, layer) => usualSparsity(layer, types.length));
    const { intermediate_size: inner } = c;
    return {
      biases: alike(c.attention_bias),
      windows: windowsOf(c, types),
      heads: keysFrom.map(from => ({ headDim: c.head_dim, kvHeads: c.num_key_value_heads ?? c.num_attention_heads, keysFrom: from })),
      activation: c.hidden_activation,
      intermediateSizes: typeof inner === 'number' ? everywhere(c, inner) : inner,
      mlpCutoffs: sparsity.map(share => (share > 0 ? normalQuantile(share) : undefined)),
      scale: 1,
      innerNorms: 'heads',
      normsValues: true,
      logitCap: c.final_logit_softcapping,
      layerInputs: { vocabularySize: c.vocab_size_per_layer_input, width: c.hidden_size_per_layer_input },
      altUp: { streams: c.altup_num_inputs, active: c.altup_active_idx },
      laurelRank: c.laurel_rank,
      multipliers: { embeddingMultiplier: { factor: Math.sqrt(c.hidden_size), rounded: true } },
      ropesByType: { types, thetas },
      problems: [...sharingProblems(c, types, firstShared), ...lengthProblems(c), ...streamProblems(c)],
    };
  },
});

const lengthProblems = (c: Gemma3nConfig): ConfigProblem[] =>
  (['intermediate_size', 'activation_sparsity_pattern'] as const).flatMap(key => {
    const list = c[key];
    if (!Array.isArray(list) || list.length === c.num_hidden_layers) return [];
    return [contradiction(key, `${key} has ${list.length} entries for num_hidden_layers ${c.num_hidden_layers}`)];
  });

const streamProblems = ({ altup_active_idx: active, altup_num_inputs: streams }: Gemma3nConfig): ConfigProblem[] =>
  active < streams ? [] : [contradiction('altup_active_idx', `altup_active_idx ${active} is none of altup_num_inputs ${streams} streams`)];
