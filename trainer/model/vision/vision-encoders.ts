/** The encoders of images, by the class of the whole model. */
import { isRecord } from '../../narrow.ts';
import type { ConfigJson } from '../config-json.ts';
import { type KeyTable, unknownKeys } from '../config-keys.ts';
import { QWEN3_VL_DEEPSTACK } from './deepstack.ts';
import { gemma3, gemma3ProcessorKeys, unknownGemma3TowerKeys } from './gemma/gemma3.ts';
import { gemma4, unknownGemma4TowerKeys } from './gemma/gemma4.ts';
import { gemma4ProcessorKeys } from './gemma/gemma4-processor.ts';
import { gemma4Unified, unknownGemma4UnifiedKeys } from './gemma/gemma4-unified.ts';
import { internVl } from './internvl.ts';
import { INTERN_VL, internVlProcessorKeys, unknownInternVlKeys } from './internvl-config.ts';
import { lfm2Vl } from './lfm2-vl.ts';
import { lfm2VlProcessorKeys, unknownLfm2VlKeys } from './lfm2-vl-config.ts';
import { pixtral } from './pixtral.ts';
import { pixtralProcessorKeys, unknownPixtralKeys } from './pixtral-config.ts';
import { QWEN2_NAMES, QWEN3_NAMES, qwenVision } from './qwen/qwen-vision.ts';
import { qwenProcessorKeys, qwenTower, unknownQwenTowerKeys } from './qwen/qwen-vision-config.ts';
import { qwenWindowVision, unknownWindowTowerKeys } from './qwen/qwen-window-vision.ts';
import { qwen2Tower, unknownQwen2TowerKeys } from './qwen/qwen2-vision-config.ts';
import { type SmolvlmArchitecture, smolvlm, smolvlmProcessorKeys, unknownSmolvlmTowerKeys } from './smolvlm.ts';
import type { VisionEncoder, VisionFiles } from './vision-encoder.ts';

interface EncoderEntry {
  readonly read: (files: VisionFiles) => VisionEncoder;
  /** Returns the keys of `vision_config` that the encoder does not know. */
  readonly unknownKeys: (config: ConfigJson) => readonly string[];
  /** The keys of the processor's files that it knows. */
  readonly processorKeys: KeyTable;
}

const qwen = (architecture: string, deepstack?: readonly number[]): EncoderEntry => ({
  read: files => qwenVision(qwenTower(architecture, files, deepstack), QWEN3_NAMES),
  unknownKeys: unknownQwenTowerKeys,
  processorKeys: qwenProcessorKeys,
});

const smolvlmOf = (architecture: SmolvlmArchitecture): EncoderEntry => ({
  read: files => smolvlm(architecture, files),
  unknownKeys: unknownSmolvlmTowerKeys,
  processorKeys: smolvlmProcessorKeys,
});

const encoders: Readonly<Record<string, EncoderEntry>> = {
  Gemma3ForConditionalGeneration: { read: gemma3, unknownKeys: unknownGemma3TowerKeys, processorKeys: gemma3ProcessorKeys },
  Gemma4ForConditionalGeneration: { read: gemma4, unknownKeys: unknownGemma4TowerKeys, processorKeys: gemma4ProcessorKeys },
  Gemma4UnifiedForConditionalGeneration: {
    read: gemma4Unified,
    unknownKeys: unknownGemma4UnifiedKeys,
    processorKeys: gemma4ProcessorKeys,
  },
  Idefics3ForConditionalGeneration: smolvlmOf('Idefics3ForConditionalGeneration'),
  [INTERN_VL]: { read: internVl, unknownKeys: unknownInternVlKeys, processorKeys: internVlProcessorKeys },
  Lfm2VlForConditionalGeneration: { read: lfm2Vl, unknownKeys: unknownLfm2VlKeys, processorKeys: lfm2VlProcessorKeys },
  Mistral3ForConditionalGeneration: { read: pixtral, unknownKeys: unknownPixtralKeys, processorKeys: pixtralProcessorKeys },
  Qwen2VLForConditionalGeneration: {
    read: files => qwenVision(qwen2Tower('Qwen2VLForConditionalGeneration', files), QWEN2_NAMES),
    unknownKeys: unknownQwen2TowerKeys,
    processorKeys: qwenProcessorKeys,
  },
  Qwen2_5_VLForConditionalGeneration: {
    read: files => qwenWindowVision('Qwen2_5_VLForConditionalGeneration', files),
    unknownKeys: unknownWindowTowerKeys,
    processorKeys: qwenProcessorKeys,
  },
  Qwen3VLForConditionalGeneration: qwen('Qwen3VLForConditionalGeneration', QWEN3_VL_DEEPSTACK),
  Qwen3VLMoeForConditionalGeneration: qwen('Qwen3VLMoeForConditionalGeneration', QWEN3_VL_DEEPSTACK),
  Qwen3_5ForConditionalGeneration: qwen('Qwen3_5ForConditionalGeneration'),
  Qwen3_5MoeForConditionalGeneration: qwen('Qwen3_5MoeForConditionalGeneration'),
  SmolVLMForConditionalGeneration: smolvlmOf('SmolVLMForConditionalGeneration'),
};

/** Returns the unknown keys of `vision_config`; none for a class whose images are not read. */
export const unknownVisionKeys = (architecture: string, config: ConfigJson): string[][] =>
  (encoders[architecture]?.unknownKeys(config) ?? []).map(key => ['vision_config', key]);

/** Settings of processors of other things than images, inside processor_config.json. */
const OTHER_PROCESSORS = ['video_processor', 'feature_extractor', 'audio_tokenizer', 'chat_template'];

/** Returns the unknown keys of preprocessor_config.json or processor_config.json; none for a class whose images are not read. */
export function unknownProcessorKeys(architecture: string, settings: ConfigJson): string[][] {
  const table = encoders[architecture]?.processorKeys;
  if (!table) return [];
  const { image_processor: inner, ...outer } = settings;
  const ofInner = isRecord(inner) ? unknownKeys(table, inner).map(key => ['image_processor', key]) : [];
  return [
    ...unknownKeys(table, outer)
      .filter(key => !OTHER_PROCESSORS.includes(key))
      .map(key => [key]),
    ...ofInner,
  ];
}

/** True for classes whose images are read. */
export const readsImages = (architecture: string): boolean => Object.hasOwn(encoders, architecture);

/** @returns undefined for a class whose images are not read. @throws ModelConfigError for a config or processor that is not computed */
export const visionEncoder = (architecture: string, files: VisionFiles): VisionEncoder | undefined => encoders[architecture]?.read(files);
