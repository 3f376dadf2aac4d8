/** The text parts of models that also take images. */

import { z } from 'zod';
import { isOneOf, namesOf } from '../../../catalog/entries.ts';
import { isRecord, required } from '../../../narrow.ts';
import type { ConfigJson } from '../../config-json.ts';
import { computed, inside, type KeyTable, notSupported, readConfig, refuse, unknownKeys, withoutEffect } from '../../config-keys.ts';
import { QWEN3_VL_DEEPSTACK } from '../../vision/families/qwen/deepstack.ts';
import type { VisionInput } from '../../vision/vision-encoder.ts';
import type { DecoderConfig } from './blocks/decoder-config.ts';
import { lfm2TextNames, lfm3TextNames } from './blocks/lfm-names.ts';
import {
  type DecoderNames,
  gemmaTextNames,
  glm4TextNames,
  llamaPlainTextNames,
  llamaTextModelNames,
  llamaTextNames,
} from './blocks/names.ts';
import { decoderConfig, decoderKeysOf, type InnerArchitecture } from './decoder-families.ts';
import { paddleOcrKeys } from './families/ernie.ts';
import { gemma3nRemark, gemma3nTextKeys, gemma3nTextTokens } from './families/gemma3n.ts';
import { gemma4ImageKeys, gemma4Images, gemma4Placeholders, gemma4Remark } from './families/gemma4-keys.ts';
import { qwen25VlKeys } from './families/qwen.ts';
import { qwenImageKeys, qwenImages } from './families/qwen35.ts';
import {
  gemma3ImageKeys,
  glmImageKeys,
  type imageTextKeys,
  internVlImageKeys,
  lfm2VlImageKeys,
  lfm3VlImageKeys,
  lightOnImageKeys,
  miniCpmVImageKeys,
  mistral3ImageKeys,
  smolvlmImageKeys,
} from './keys/image-text-keys.ts';
import { unknownQuantizationKeys } from './keys/quantization-keys.ts';
import { unknownRopeKeys } from './keys/rope-config.ts';

interface TextPart {
  readonly keys: Pick<typeof imageTextKeys, 'text_config' | 'tie_word_embeddings'> & KeyTable;
  readonly names: DecoderNames;
  /** The decoder by the `model_type` of `text_config`; the first one if it has none. */
  readonly decoders: Readonly<Record<string, InnerArchitecture>>;
  /** Further keys that published files have in `text_config`. */
  readonly unread?: KeyTable;
  /** True if older files have the keys of the text part next to the others. */
  readonly isFlat?: true;
  /** Set if the head is also tied where `text_config` alone says so, or where it does not say otherwise. */
  readonly tiesInside?: 'if said' | 'by default';
  /** A sentence about the parts that are not loaded, by the values of the keys. */
  readonly remark?: (values: ConfigJson) => string | undefined;
  /** Tokens that count as padding in a text, by the values of the keys. */
  readonly placeholders?: (values: ConfigJson) => readonly number[];
  /** The first token that stands for an image or a sound that is not read, by the values of the keys: see `KnownTokens`. */
  readonly textTokens?: (values: ConfigJson) => number | undefined;
  /** How images enter the text, by the values of the keys; for classes with an encoder in `vision-encoders.ts`. */
  readonly vision?: (values: ConfigJson) => VisionInput | undefined;
}

/** Number of the blocks of Qwen3-VL's tower whose states also enter the text. */
const deepstackOf = ({ deepstack_visual_indexes: blocks = QWEN3_VL_DEEPSTACK }: ConfigJson): number =>
  Array.isArray(blocks) ? blocks.length : 0;

/** Tokens of images are tokens like others. */
const countedImages = ({ image_token_id: newer, image_token_index: older }: ConfigJson): VisionInput => ({
  imageToken: Number(newer ?? older),
  positions: 'counted',
  deepstack: 0,
  attendsWithin: false,
});

const UNREAD = 'is not read by Transformers';

const QWEN35_IMAGES = {
  keys: { ...qwenImageKeys(248056), ...withoutEffect(UNREAD, 'language_model_only') },
  names: llamaTextNames,
  vision: qwenImages(() => 0),
} as const;

/** SmolVLM's classes differ in nothing but their names. */
const SMOLVLM = {
  keys: smolvlmImageKeys,
  unread: withoutEffect(
    UNREAD,
    ...(['is_llama_config', 'neftune_noise_alpha', 'pixel_shuffle_factor', 'qk_layer_norms', 'rope_interleaved', 'use_resampler'] as const),
  ),
  names: llamaTextModelNames,
  decoders: { llama: 'LlamaForCausalLM' },
  vision: countedImages,
} as const satisfies TextPart;

const GEMMA4 = {
  keys: gemma4ImageKeys,
  names: gemmaTextNames,
  vision: gemma4Images({ within: 'windowed' }),
  remark: gemma4Remark,
  placeholders: gemma4Placeholders,
} as const;

const GLM4V = {
  keys: glmImageKeys(151_343),
  names: glm4TextNames,
  decoders: { glm4v_text: 'Glm4vTextModel' },
  vision: qwenImages(() => 0),
} as const;

const qwen25VlImageKeys = {
  ...withoutEffect('is read from text_config, or as a key of the text part if there is none', ...namesOf(qwen25VlKeys)),
  ...qwenImageKeys(151655),
  ...withoutEffect('is not read by Transformers either', 'vision_token_id'),
} as const satisfies KeyTable;

const paddleOcrImageKeys = {
  ...withoutEffect('is read from text_config, or as a key of the text part if there is none', ...namesOf(paddleOcrKeys)),
  ...qwenImageKeys(100_295),
  tie_word_embeddings: computed(z.boolean().default(true)),
} as const satisfies KeyTable;

/** Qwen2-VL and Qwen2.5-VL differ in their towers alone. */
const QWEN25 = { keys: qwen25VlImageKeys, names: llamaPlainTextNames, isFlat: true, vision: qwenImages(() => 0) } as const;

const textParts = {
  Gemma3ForConditionalGeneration: {
    keys: gemma3ImageKeys,
    names: gemmaTextNames,
    decoders: { gemma3_text: 'Gemma3ForCausalLM' },
    vision: values => ({ ...countedImages(values), attendsWithin: 'all', tokensPerImage: Number(values.mm_tokens_per_image) }),
  },
  Gemma3nForConditionalGeneration: {
    keys: gemma3nTextKeys,
    names: gemmaTextNames,
    decoders: { gemma3n_text: 'Gemma3nForCausalLM' },
    remark: () => gemma3nRemark,
    textTokens: gemma3nTextTokens,
  },
  Gemma4ForConditionalGeneration: {
    ...GEMMA4,
    decoders: { gemma4_text: 'Gemma4ForCausalLM' },
  },
  Gemma4UnifiedForConditionalGeneration: {
    ...GEMMA4,
    decoders: { gemma4_unified_text: 'Gemma4UnifiedForCausalLM' },
    vision: gemma4Images({ usual: 'vision', within: 'all' }),
  },
  Glm4vForConditionalGeneration: { ...GLM4V, tiesInside: 'if said' },
  Glm46VForConditionalGeneration: GLM4V,
  GlmOcrForConditionalGeneration: {
    keys: glmImageKeys(59_280),
    names: glm4TextNames,
    decoders: { glm_ocr_text: 'GlmOcrTextModel' },
    tiesInside: 'if said',
    vision: qwenImages(() => 0),
  },
  Idefics3ForConditionalGeneration: SMOLVLM,
  SmolVLMForConditionalGeneration: SMOLVLM,
  Lfm2VlForConditionalGeneration: {
    keys: lfm2VlImageKeys,
    names: lfm2TextNames,
    decoders: { lfm2: 'Lfm2ForCausalLM', lfm2_moe: 'Lfm2MoeForCausalLM' },
    vision: countedImages,
  },
  Lfm3VlForConditionalGeneration: {
    keys: lfm3VlImageKeys,
    names: lfm3TextNames,
    decoders: { lfm3: 'Lfm3ForCausalLM' },
    vision: countedImages,
  },
  LightOnOcrForConditionalGeneration: {
    keys: lightOnImageKeys,
    names: llamaTextNames,
    decoders: { qwen3: 'Qwen3ForCausalLM' },
    vision: countedImages,
  },
  InternVLForConditionalGeneration: {
    keys: internVlImageKeys,
    unread: withoutEffect(UNREAD, 'debug', 'ep_size', 'micro_forward', 'skip_checkpoint', 'use_deepep'),
    names: llamaTextNames,
    decoders: {
      qwen2: 'Qwen2ForCausalLM',
      qwen3: 'Qwen3ForCausalLM',
      qwen3_moe: 'Qwen3MoeForCausalLM',
      llama: 'LlamaForCausalLM',
      gpt_oss: 'GptOssForCausalLM',
    },
    vision: countedImages,
  },
  MiniCPMV4_6ForConditionalGeneration: {
    keys: miniCpmVImageKeys,
    names: llamaTextNames,
    decoders: { qwen3_5_text: 'Qwen3_5ForCausalLM' },
    // Without a token for images, Transformers reads none.
    vision: values => (typeof values.image_token_id === 'number' ? countedImages(values) : undefined),
  },
  Mistral3ForConditionalGeneration: {
    keys: mistral3ImageKeys,
    names: llamaTextNames,
    decoders: { mistral: 'MistralForCausalLM', ministral3: 'Ministral3ForCausalLM', mistral4: 'Mistral4ForCausalLM' },
    vision: countedImages,
  },
  PaddleOCRVLForConditionalGeneration: {
    keys: paddleOcrImageKeys,
    names: llamaPlainTextNames,
    decoders: { paddleocr_vl_text: 'PaddleOCRTextModel', paddleocr_vl: 'PaddleOCRTextModel' },
    isFlat: true,
    tiesInside: 'by default',
    vision: qwenImages(() => 0),
  },
  Qwen2VLForConditionalGeneration: { ...QWEN25, decoders: { qwen2_vl_text: 'Qwen2VLTextModel', qwen2_vl: 'Qwen2VLTextModel' } },
  Qwen2_5_VLForConditionalGeneration: {
    ...QWEN25,
    decoders: { qwen2_5_vl_text: 'Qwen2_5_VLTextModel', qwen2_5_vl: 'Qwen2_5_VLTextModel' },
  },
  Qwen3VLForConditionalGeneration: {
    keys: qwenImageKeys(151655),
    names: llamaTextNames,
    decoders: { qwen3_vl_text: 'Qwen3VLTextModel' },
    vision: qwenImages(deepstackOf),
  },
  Qwen3VLMoeForConditionalGeneration: {
    keys: qwenImageKeys(151655),
    names: llamaTextNames,
    decoders: { qwen3_vl_moe_text: 'Qwen3VLMoeTextModel' },
    vision: qwenImages(deepstackOf),
  },
  Qwen3_5ForConditionalGeneration: {
    ...QWEN35_IMAGES,
    decoders: { qwen3_5_text: 'Qwen3_5ForCausalLM' },
  },
  Qwen3_5MoeForConditionalGeneration: {
    ...QWEN35_IMAGES,
    decoders: { qwen3_5_moe_text: 'Qwen3_5MoeForCausalLM' },
  },
} as const satisfies Record<string, TextPart>;

export type TextPartArchitecture = keyof typeof textParts;

export const textPartKeys = (architecture: TextPartArchitecture): KeyTable => textParts[architecture].keys;

export const isTextPart = (architecture: string | undefined): architecture is TextPartArchitecture =>
  isOneOf(namesOf(textParts), architecture);

/** The decoders that a class may have inside. */
export const innerDecodersOf = (architecture: TextPartArchitecture): readonly InnerArchitecture[] =>
  Object.values<InnerArchitecture>(textParts[architecture].decoders);

/** Returns the unknown keys of `text_config`. */
export function unknownTextKeys(architecture: TextPartArchitecture, { text_config: own }: ConfigJson): string[][] {
  const part: TextPart = textParts[architecture];
  const inner = isRecord(own) ? decoderOf(part, own) : undefined;
  if (!isRecord(own) || inner === undefined) return [];
  const keys = unknownKeys({ ...decoderKeysOf(inner), ...part.unread }, own).map(key => [key]);
  return [...keys, ...unknownQuantizationKeys(own), ...unknownRopeKeys(own)].map(path => ['text_config', ...path]);
}

/** Returns the decoder that a text part names, if it is supported. */
function decoderOf({ decoders }: TextPart, own: ConfigJson): InnerArchitecture | undefined {
  const type = typeOf(decoders, own);
  return Object.hasOwn(decoders, type) ? decoders[type] : undefined;
}

const typeOf = (decoders: TextPart['decoders'], { model_type: type }: ConfigJson): string => String(type ?? Object.keys(decoders)[0]);

/** True if `text_config`, which older files do not have, ties the head. */
const tiesWithin = ({ tiesInside }: TextPart, own: ConfigJson, config: ConfigJson): boolean =>
  tiesInside !== undefined && own !== config && (own.tie_word_embeddings ?? tiesInside === 'by default') === true;

export interface InnerDecoder {
  readonly architecture: InnerArchitecture;
  /** How images enter the text. */
  readonly vision: VisionInput | undefined;
  readonly remark: string | undefined;
  readonly placeholders: readonly number[] | undefined;
  readonly textTokens: number | undefined;
  /** Its config as that of a standalone decoder. */
  readonly config: ConfigJson;
  /** True if its keys are next to the others, as in older files. */
  readonly isFlat: boolean;
}

/** @throws ModelConfigError */
export function innerDecoder(architecture: TextPartArchitecture, config: ConfigJson): InnerDecoder {
  const part: TextPart = textParts[architecture];
  const { keys, decoders, vision, remark, placeholders, textTokens, isFlat } = part;
  const { values, problems } = readConfig(keys, architecture, config);
  const own = isFlat && !config.text_config ? config : values.text_config;
  // An older name of LFM2, which takes precedence.
  const { tie_embedding: older, tie_word_embeddings: tie } = { tie_embedding: undefined, ...values };
  const tied = (older ?? tie) === true || (isFlat === true && own.tie_word_embeddings === true) || tiesWithin(part, own, config);
  const decoder = decoderOf(part, own);
  const strange = decoder ? [] : [notSupported(['text_config', 'model_type'], typeOf(decoders, own), Object.keys(decoders))];
  refuse([...problems, ...strange], architecture);
  return {
    architecture: required(decoder, 'the decoder of the text part'),
    config: { ...own, tie_word_embeddings: tied, ...(own.tie_embedding !== undefined && { tie_embedding: tied }) },
    isFlat: own === config,
    vision: vision?.(values),
    remark: remark?.(values),
    placeholders: placeholders?.(values),
    textTokens: textTokens?.(values),
  };
}

/** @throws ModelConfigError */
export function textPart(architecture: TextPartArchitecture, config: ConfigJson): DecoderConfig {
  const inner = innerDecoder(architecture, config);
  const read = () => decoderConfig(inner.architecture, inner.config, textParts[architecture].names);
  const text = inner.isFlat ? read() : inside('text_config', inner.architecture, read);
  if (text.attention.isBidirectional) refuse([notSupported(['text_config', 'use_bidirectional_attention'], true, [false])], architecture);
  return {
    ...text,
    ...(inner.vision && { vision: inner.vision }),
    ...(inner.remark !== undefined && { remark: inner.remark }),
    ...(inner.placeholders && { placeholders: inner.placeholders }),
    ...(inner.textTokens !== undefined && { textTokens: inner.textTokens }),
  };
}
