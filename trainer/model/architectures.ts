/** The table of architectures, by their name in config.json. */
import { namesOf } from '../catalog/entries.ts';
import type { ConfigJson, ModelOptions } from './config-json.ts';
import { type ArchitectureEntry, classesOf, entryOf } from './family/architecture-entry.ts';
import { labelKeys } from './family/common-keys.ts';
import { type DecoderNames, gemmaBareNames, gpt2BareNames, gptNeoXBareNames, llamaBareNames } from './family/decoder/blocks/names.ts';
import { decoder } from './family/decoder/decoder.ts';
import {
  type DecoderArchitecture,
  decoderArchitectures,
  decoderConfig,
  decoderKeysOf,
  isDecoder,
} from './family/decoder/decoder-families.ts';
import { scoreLayersOf } from './family/decoder/head-layers.ts';
import { withScoreHead } from './family/decoder/score-head.ts';
import { type TextPartArchitecture, textPart, textPartKeys } from './family/decoder/text-part.ts';
import { convNext } from './family/image/convnext.ts';
import { type ConvNextForm, convNextConfig, convNextKeys, convNextV2Keys } from './family/image/convnext-config.ts';
import { type Dinov2Form, dinov2Config, dinov2Keys, dinov2RegisterKeys } from './family/image/dinov2-config.ts';
import { dinov3Config, dinov3Keys } from './family/image/dinov3-config.ts';
import { resnet } from './family/image/resnet.ts';
import { resnetConfig, resnetKeys } from './family/image/resnet-config.ts';
import { siglipConfig, siglipKeys } from './family/image/siglip-config.ts';
import { swin } from './family/image/swin.ts';
import { swinConfig, swinKeys } from './family/image/swin-config.ts';
import { timm } from './family/image/timm.ts';
import { timmKeys } from './family/image/timm-params.ts';
import { vit } from './family/image/vit.ts';
import { vitConfig, vitKeys } from './family/image/vit-config.ts';
import { textEncoders } from './family/text/text-encoders.ts';
import type { AnyModel, Problem } from './model-spec.ts';

/** A decoder, or a decoder with a head for whole texts if the task needs scores. */
const decoderOf = (architecture: DecoderArchitecture): ArchitectureEntry => {
  const read = (config: ConfigJson) => decoderConfig(architecture, config);
  const build: ArchitectureEntry['build'] = (config, options) =>
    options.problem === 'regression' ? scored(architecture, false, config, options) : decoder(read(config));
  return { keys: decoderKeysOf(architecture), read, build, withoutHead: config => decoder(read(config)) };
};

/** Every decoder. */
const decoders: Readonly<Record<DecoderArchitecture, ArchitectureEntry>> =
  // Each name gets an entry.
  Object.fromEntries(decoderArchitectures.map(name => [name, decoderOf(name)])) as Record<DecoderArchitecture, ArchitectureEntry>;

/** A decoder whose file has no head, and tensor names without the prefix of the class with a head. */
const bareDecoderOf = (architecture: DecoderArchitecture, names: DecoderNames): ArchitectureEntry => {
  const read = (config: ConfigJson) => decoderConfig(architecture, config, names);
  return { keys: decoderKeysOf(architecture), read, build: config => ({ ...decoder(read(config)), hasNoHead: true }) };
};

/** @throws ModelConfigError */
function scored(architecture: DecoderArchitecture, hasHead: boolean, config: ConfigJson, options: ModelOptions): AnyModel {
  const read = decoderConfig(architecture, config);
  const layersOf = (spread: number) => scoreLayersOf(read, { isFresh: !hasHead, spread, seed: options.headSeed ?? 0 });
  return withScoreHead(decoder(read), { architecture, json: config, options, hasHead, layersOf, padId: read.padId });
}

/** A decoder whose file has a head for whole texts. */
const scoredDecoderOf = (architecture: DecoderArchitecture): ArchitectureEntry => ({
  keys: { ...decoderKeysOf(architecture), ...labelKeys },
  read: config => decoderConfig(architecture, config),
  build: (config, options) => scored(architecture, true, config, options),
});

const textPartOf = (architecture: TextPartArchitecture) =>
  entryOf(textPartKeys(architecture), config => textPart(architecture, config), decoder);

const vitLike = classesOf(vitKeys, vitConfig, vit);
const dinov3Like = classesOf(dinov3Keys, dinov3Config, vit);
const swinLike = classesOf(swinKeys, swinConfig, swin);
const resnetLike = classesOf(resnetKeys, resnetConfig, resnet);

const dinov2Like = (architecture: string, form: Dinov2Form) =>
  entryOf(form.hasRegisters ? dinov2RegisterKeys : dinov2Keys, (config, options) => dinov2Config(architecture, form, config, options), vit);

const convNextLike = (architecture: string, form: ConvNextForm) =>
  entryOf(
    form.family === 'convnext' ? convNextKeys : convNextV2Keys,
    (config, options) => convNextConfig(architecture, form, config, options),
    convNext,
  );

/** The table of architectures. Encoders without a head for the task get a new one. */
export const architectures = {
  ...decoders,
  LlamaModel: bareDecoderOf('LlamaForCausalLM', llamaBareNames),
  MistralModel: bareDecoderOf('MistralForCausalLM', llamaBareNames),
  Qwen2Model: bareDecoderOf('Qwen2ForCausalLM', llamaBareNames),
  Qwen3Model: bareDecoderOf('Qwen3ForCausalLM', llamaBareNames),
  Qwen2VLForConditionalGeneration: textPartOf('Qwen2VLForConditionalGeneration'),
  Qwen2_5_VLForConditionalGeneration: textPartOf('Qwen2_5_VLForConditionalGeneration'),
  Qwen3VLForConditionalGeneration: textPartOf('Qwen3VLForConditionalGeneration'),
  Qwen3VLMoeForConditionalGeneration: textPartOf('Qwen3VLMoeForConditionalGeneration'),
  Qwen3_5ForConditionalGeneration: textPartOf('Qwen3_5ForConditionalGeneration'),
  Qwen3_5MoeForConditionalGeneration: textPartOf('Qwen3_5MoeForConditionalGeneration'),
  Gemma2Model: bareDecoderOf('Gemma2ForCausalLM', gemmaBareNames),
  Gemma3TextModel: bareDecoderOf('Gemma3ForCausalLM', gemmaBareNames),
  Gemma3ForConditionalGeneration: textPartOf('Gemma3ForConditionalGeneration'),
  Gemma3nForConditionalGeneration: textPartOf('Gemma3nForConditionalGeneration'),
  Gemma4ForConditionalGeneration: textPartOf('Gemma4ForConditionalGeneration'),
  Gemma4UnifiedForConditionalGeneration: textPartOf('Gemma4UnifiedForConditionalGeneration'),
  Glm4vForConditionalGeneration: textPartOf('Glm4vForConditionalGeneration'),
  Glm46VForConditionalGeneration: textPartOf('Glm46VForConditionalGeneration'),
  GlmOcrForConditionalGeneration: textPartOf('GlmOcrForConditionalGeneration'),
  InternVLForConditionalGeneration: textPartOf('InternVLForConditionalGeneration'),
  Lfm2VlForConditionalGeneration: textPartOf('Lfm2VlForConditionalGeneration'),
  Lfm3VlForConditionalGeneration: textPartOf('Lfm3VlForConditionalGeneration'),
  MiniCPMV4_6ForConditionalGeneration: textPartOf('MiniCPMV4_6ForConditionalGeneration'),
  LightOnOcrForConditionalGeneration: textPartOf('LightOnOcrForConditionalGeneration'),
  Mistral3ForConditionalGeneration: textPartOf('Mistral3ForConditionalGeneration'),
  PaddleOCRVLForConditionalGeneration: textPartOf('PaddleOCRVLForConditionalGeneration'),
  Idefics3ForConditionalGeneration: textPartOf('Idefics3ForConditionalGeneration'),
  SmolVLMForConditionalGeneration: textPartOf('SmolVLMForConditionalGeneration'),
  GPTNeoXModel: bareDecoderOf('GPTNeoXForCausalLM', gptNeoXBareNames),
  GPT2Model: bareDecoderOf('GPT2LMHeadModel', gpt2BareNames),
  LlamaForSequenceClassification: scoredDecoderOf('LlamaForCausalLM'),
  MistralForSequenceClassification: scoredDecoderOf('MistralForCausalLM'),
  Qwen2ForSequenceClassification: scoredDecoderOf('Qwen2ForCausalLM'),
  Qwen3ForSequenceClassification: scoredDecoderOf('Qwen3ForCausalLM'),
  Qwen3_5TextForSequenceClassification: scoredDecoderOf('Qwen3_5ForCausalLM'),
  Qwen3NextForSequenceClassification: scoredDecoderOf('Qwen3NextForCausalLM'),
  GemmaForSequenceClassification: scoredDecoderOf('GemmaForCausalLM'),
  Gemma2ForSequenceClassification: scoredDecoderOf('Gemma2ForCausalLM'),
  Gemma3TextForSequenceClassification: scoredDecoderOf('Gemma3ForCausalLM'),
  SmolLM3ForSequenceClassification: scoredDecoderOf('SmolLM3ForCausalLM'),
  Olmo2ForSequenceClassification: scoredDecoderOf('Olmo2ForCausalLM'),
  Olmo3ForSequenceClassification: scoredDecoderOf('Olmo3ForCausalLM'),
  MixtralForSequenceClassification: scoredDecoderOf('MixtralForCausalLM'),
  Qwen3MoeForSequenceClassification: scoredDecoderOf('Qwen3MoeForCausalLM'),
  GptOssForSequenceClassification: scoredDecoderOf('GptOssForCausalLM'),
  Phi3ForSequenceClassification: scoredDecoderOf('Phi3ForCausalLM'),
  MinistralForSequenceClassification: scoredDecoderOf('MinistralForCausalLM'),
  Ministral3ForSequenceClassification: scoredDecoderOf('Ministral3ForCausalLM'),
  ArceeForSequenceClassification: scoredDecoderOf('ArceeForCausalLM'),
  Mistral4ForSequenceClassification: scoredDecoderOf('Mistral4ForCausalLM'),
  GlmForSequenceClassification: scoredDecoderOf('GlmForCausalLM'),
  Glm4ForSequenceClassification: scoredDecoderOf('Glm4ForCausalLM'),
  DeepseekV3ForSequenceClassification: scoredDecoderOf('DeepseekV3ForCausalLM'),
  Exaone4ForSequenceClassification: scoredDecoderOf('Exaone4ForCausalLM'),
  SeedOssForSequenceClassification: scoredDecoderOf('SeedOssForCausalLM'),
  HunYuanDenseV1ForSequenceClassification: scoredDecoderOf('HunYuanDenseV1ForCausalLM'),
  GPTNeoXForSequenceClassification: scoredDecoderOf('GPTNeoXForCausalLM'),
  GPT2ForSequenceClassification: scoredDecoderOf('GPT2LMHeadModel'),
  HeliumForSequenceClassification: scoredDecoderOf('HeliumForCausalLM'),
  Qwen2MoeForSequenceClassification: scoredDecoderOf('Qwen2MoeForCausalLM'),
  PhiForSequenceClassification: scoredDecoderOf('PhiForCausalLM'),
  Starcoder2ForSequenceClassification: scoredDecoderOf('Starcoder2ForCausalLM'),
  StableLmForSequenceClassification: scoredDecoderOf('StableLmForCausalLM'),
  DeepseekV2ForSequenceClassification: scoredDecoderOf('DeepseekV2ForCausalLM'),
  NemotronForSequenceClassification: scoredDecoderOf('NemotronForCausalLM'),
  ModernBertDecoderForSequenceClassification: scoredDecoderOf('ModernBertDecoderForCausalLM'),
  ...textEncoders,
  ViTModel: vitLike('ViTModel', { family: 'vit', prefix: '', head: 'none' }),
  ViTForImageClassification: vitLike('ViTForImageClassification', { family: 'vit', prefix: 'vit.', head: 'one' }),
  DeiTModel: vitLike('DeiTModel', { family: 'deit', prefix: '', head: 'none' }),
  DeiTForImageClassification: vitLike('DeiTForImageClassification', { family: 'deit', prefix: 'deit.', head: 'one' }),
  DeiTForImageClassificationWithTeacher: vitLike('DeiTForImageClassificationWithTeacher', {
    family: 'deit',
    prefix: 'deit.',
    head: 'teacher',
  }),
  Dinov2Model: dinov2Like('Dinov2Model', { hasRegisters: false, prefix: '', hasHead: false }),
  Dinov2ForImageClassification: dinov2Like('Dinov2ForImageClassification', { hasRegisters: false, prefix: 'dinov2.', hasHead: true }),
  Dinov2WithRegistersModel: dinov2Like('Dinov2WithRegistersModel', { hasRegisters: true, prefix: '', hasHead: false }),
  Dinov2WithRegistersForImageClassification: dinov2Like('Dinov2WithRegistersForImageClassification', {
    hasRegisters: true,
    prefix: 'dinov2_with_registers.',
    hasHead: true,
  }),
  DINOv3ViTModel: dinov3Like('DINOv3ViTModel', false),
  // Transformers has no such class; exports need a name that shows the head.
  DINOv3ViTForImageClassification: dinov3Like('DINOv3ViTForImageClassification', true),
  ConvNextModel: convNextLike('ConvNextModel', { family: 'convnext', prefix: '', hasHead: false }),
  ConvNextForImageClassification: convNextLike('ConvNextForImageClassification', {
    family: 'convnext',
    prefix: 'convnext.',
    hasHead: true,
  }),
  ConvNextV2Model: convNextLike('ConvNextV2Model', { family: 'convnextv2', prefix: '', hasHead: false }),
  ConvNextV2ForImageClassification: convNextLike('ConvNextV2ForImageClassification', {
    family: 'convnextv2',
    prefix: 'convnextv2.',
    hasHead: true,
  }),
  SwinModel: swinLike('SwinModel', { prefix: '', hasHead: false }),
  SwinForImageClassification: swinLike('SwinForImageClassification', { prefix: 'swin.', hasHead: true }),
  SiglipForImageClassification: entryOf(
    siglipKeys,
    (config, options) => siglipConfig('SiglipForImageClassification', config, options),
    vit,
  ),
  ResNetModel: resnetLike('ResNetModel', { prefix: '', hasHead: false }),
  ResNetForImageClassification: resnetLike('ResNetForImageClassification', { prefix: 'resnet.', hasHead: true }),
  TimmWrapperForImageClassification: entryOf(
    timmKeys,
    (config, options) => timm('timm_model.', config, options),
    model => model,
  ),
} satisfies Record<string, ArchitectureEntry>;

export type Architecture = keyof typeof architectures;

/**
 * The family part of a class name ("Llama" of LlamaForCausalLM), shared by Transformers' classes of one family. The text part of Gemma 3
 * has a name of its own.
 */
export const familyOf = (architecture: string): string => architecture.replace(/(Wrapper|Text|LMHead)?(Model|For[A-Z]\w*)$/, '');

/**
 * The architecture of a config.json without `architectures`, by `model_type`; such files belong to a model that was published for any task.
 */
export const architectureOfType: Readonly<Record<string, Architecture>> = {
  bert: 'BertForMaskedLM',
  roberta: 'RobertaForMaskedLM',
  'xlm-roberta': 'XLMRobertaForMaskedLM',
  camembert: 'CamembertForMaskedLM',
  'deberta-v2': 'DebertaV2ForMaskedLM',
  distilbert: 'DistilBertForMaskedLM',
  electra: 'ElectraForPreTraining',
  albert: 'AlbertForMaskedLM',
  mpnet: 'MPNetForMaskedLM',
  modernbert: 'ModernBertForMaskedLM',
  nomic_bert: 'NomicBertForMaskedLM',
  eurobert: 'EuroBertForMaskedLM',
  gte: 'GteForMaskedLM',
  ultrabert: 'UltrabertForMaskedLM',
  esm: 'EsmForMaskedLM',
};

const OF_WHOLES = /For(Sequence|Image)Classification/;

/**
 * Returns the class of a family with a head for whole texts or images; the class itself if it has one, or if its family has none. Of
 * decoders, only classes that predict the next token can get one.
 */
function ofWholes(architecture: Architecture): Architecture {
  const family = namesOf(architectures).filter(name => familyOf(name) === familyOf(architecture));
  const gets = !OF_WHOLES.test(architecture) && (isDecoder(architecture) || !family.some(isDecoder));
  return (gets ? family.find(name => OF_WHOLES.test(name)) : undefined) ?? architecture;
}

/**
 * Returns the class of a family whose head solves a problem, given any class of the family; undefined if the family has no such class or is
 * unknown.
 */
export function headedClass(architecture: Architecture, problem: Problem): Architecture | undefined {
  const named = ofWholes(architecture);
  if (problem !== 'token_label') return named;
  const name = named.replace('ForSequenceClassification', 'ForTokenClassification');
  return namesOf(architectures).find(known => known === name && known !== named);
}
