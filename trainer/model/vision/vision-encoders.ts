/** The encoders of images, by the class of the whole model. */
import type { ConfigJson } from '../config-json.ts';
import { type KeyTable, unknownInside, unknownKeys } from '../config-keys.ts';
import { gemma3TowerKeys, smolvlmTowerKeys } from '../family/image/siglip-config.ts';
import { type ConfigProblem, ModelConfigError } from '../model-spec.ts';
import { gemma3, gemma3ProcessorKeys } from './families/gemma/gemma3.ts';
import { gemma4, gemma4TowerKeys } from './families/gemma/gemma4.ts';
import { gemma4ProcessorKeys } from './families/gemma/gemma4-processor.ts';
import { gemma4Unified, gemma4UnifiedKeys } from './families/gemma/gemma4-unified.ts';
import { glmVision } from './families/glm/glm-vision.ts';
import { glm4vTower, glm4vTowerKeys, glmOcrTower, glmOcrTowerKeys, glmProcessorKeys } from './families/glm/glm-vision-config.ts';
import { internVl } from './families/internvl/internvl.ts';
import { INTERN_VL, internVlProcessorKeys, internVlTowerKeys } from './families/internvl/internvl-config.ts';
import { lfm2Vl } from './families/lfm/lfm2-vl.ts';
import { lfm2VlProcessorKeys, lfm2VlTowerKeys } from './families/lfm/lfm2-vl-config.ts';
import { lfm3Vl } from './families/lfm/lfm3-vl.ts';
import { LFM3_VL, lfm3VlTowerKeys } from './families/lfm/lfm3-vl-config.ts';
import { miniCpmV } from './families/minicpm/minicpm-v.ts';
import { MINICPM_V, miniCpmVProcessorKeys, miniCpmVTowerKeys } from './families/minicpm/minicpm-v-config.ts';
import { paddleOcr } from './families/paddle/paddle-ocr.ts';
import { PADDLE_OCR, paddleOcrProcessorKeys, paddleOcrTowerKeys } from './families/paddle/paddle-ocr-config.ts';
import { lightOn, pixtral } from './families/pixtral/pixtral.ts';
import { lightOnProcessorKeys, pixtralProcessorKeys, pixtralTowerKeys } from './families/pixtral/pixtral-config.ts';
import { QWEN3_VL_DEEPSTACK } from './families/qwen/deepstack.ts';
import { QWEN2_NAMES, QWEN3_NAMES, qwenVision } from './families/qwen/qwen-vision.ts';
import { qwenProcessorKeys, qwenTower, qwenTowerKeys } from './families/qwen/qwen-vision-config.ts';
import { qwenWindowVision, windowTowerKeys } from './families/qwen/qwen-window-vision.ts';
import { qwen2Tower, qwen2TowerKeys } from './families/qwen/qwen2-vision-config.ts';
import { type SmolvlmArchitecture, smolvlm, smolvlmProcessorKeys } from './families/smolvlm/smolvlm.ts';
import { readTower, TOWER } from './read-tower.ts';
import type { VisionEncoder, VisionFiles } from './vision-encoder.ts';

interface EncoderEntry {
  readonly read: (files: VisionFiles) => VisionEncoder;
  /** The keys of `vision_config` that it knows. */
  readonly towerKeys: KeyTable;
  /** The keys of the processor's files that it knows. */
  readonly processorKeys: KeyTable;
}

const qwen = (architecture: string, deepstack?: readonly number[]): EncoderEntry => ({
  read: files => qwenVision(qwenTower(architecture, files, deepstack), QWEN3_NAMES),
  towerKeys: qwenTowerKeys(deepstack),
  processorKeys: qwenProcessorKeys,
});

const glm4vOf = (architecture: string): EncoderEntry => ({
  read: files => glmVision(glm4vTower(architecture, files)),
  towerKeys: glm4vTowerKeys,
  processorKeys: glmProcessorKeys,
});

const smolvlmOf = (architecture: SmolvlmArchitecture): EncoderEntry => ({
  read: files => smolvlm(architecture, files),
  towerKeys: smolvlmTowerKeys,
  processorKeys: smolvlmProcessorKeys,
});

const encoders: Readonly<Record<string, EncoderEntry>> = {
  Gemma3ForConditionalGeneration: { read: gemma3, towerKeys: gemma3TowerKeys, processorKeys: gemma3ProcessorKeys },
  Gemma4ForConditionalGeneration: { read: gemma4, towerKeys: gemma4TowerKeys, processorKeys: gemma4ProcessorKeys },
  Gemma4UnifiedForConditionalGeneration: {
    read: gemma4Unified,
    towerKeys: gemma4UnifiedKeys,
    processorKeys: gemma4ProcessorKeys,
  },
  Glm4vForConditionalGeneration: glm4vOf('Glm4vForConditionalGeneration'),
  Glm46VForConditionalGeneration: glm4vOf('Glm46VForConditionalGeneration'),
  GlmOcrForConditionalGeneration: {
    read: files => glmVision(glmOcrTower('GlmOcrForConditionalGeneration', files)),
    towerKeys: glmOcrTowerKeys,
    processorKeys: glmProcessorKeys,
  },
  Idefics3ForConditionalGeneration: smolvlmOf('Idefics3ForConditionalGeneration'),
  [INTERN_VL]: { read: internVl, towerKeys: internVlTowerKeys, processorKeys: internVlProcessorKeys },
  Lfm2VlForConditionalGeneration: { read: lfm2Vl, towerKeys: lfm2VlTowerKeys, processorKeys: lfm2VlProcessorKeys },
  [LFM3_VL]: { read: lfm3Vl, towerKeys: lfm3VlTowerKeys, processorKeys: qwenProcessorKeys },
  LightOnOcrForConditionalGeneration: { read: lightOn, towerKeys: pixtralTowerKeys, processorKeys: lightOnProcessorKeys },
  [MINICPM_V]: { read: miniCpmV, towerKeys: miniCpmVTowerKeys, processorKeys: miniCpmVProcessorKeys },
  Mistral3ForConditionalGeneration: { read: pixtral, towerKeys: pixtralTowerKeys, processorKeys: pixtralProcessorKeys },
  [PADDLE_OCR]: { read: paddleOcr, towerKeys: paddleOcrTowerKeys, processorKeys: paddleOcrProcessorKeys },
  Qwen2VLForConditionalGeneration: {
    read: files => qwenVision(qwen2Tower('Qwen2VLForConditionalGeneration', files), QWEN2_NAMES),
    towerKeys: qwen2TowerKeys,
    processorKeys: qwenProcessorKeys,
  },
  Qwen2_5_VLForConditionalGeneration: {
    read: files => qwenWindowVision('Qwen2_5_VLForConditionalGeneration', files),
    towerKeys: windowTowerKeys,
    processorKeys: qwenProcessorKeys,
  },
  Qwen3VLForConditionalGeneration: qwen('Qwen3VLForConditionalGeneration', QWEN3_VL_DEEPSTACK),
  Qwen3VLMoeForConditionalGeneration: qwen('Qwen3VLMoeForConditionalGeneration', QWEN3_VL_DEEPSTACK),
  Qwen3_5ForConditionalGeneration: qwen('Qwen3_5ForConditionalGeneration'),
  Qwen3_5MoeForConditionalGeneration: qwen('Qwen3_5MoeForConditionalGeneration'),
  SmolVLMForConditionalGeneration: smolvlmOf('SmolVLMForConditionalGeneration'),
};

/** Returns the unknown keys of `vision_config`; none for a class whose images are not read. */
export const unknownVisionKeys = (architecture: string, config: ConfigJson): string[][] => {
  const table = encoders[architecture]?.towerKeys;
  return table ? unknownInside(TOWER, table, config) : [];
};

/** Returns the problems of `vision_config`; none for a class whose images are not read. */
export function towerProblems(architecture: string, config: ConfigJson): readonly ConfigProblem[] {
  const table = encoders[architecture]?.towerKeys;
  if (!table) return [];
  try {
    return readTower(table, architecture, config).problems;
  } catch (error) {
    if (error instanceof ModelConfigError) return error.problems;
    throw error;
  }
}

/** Settings of processors of other things than images, inside processor_config.json. */
const OTHER_PROCESSORS = ['video_processor', 'feature_extractor', 'audio_tokenizer', 'chat_template'];

/** Returns the unknown keys of preprocessor_config.json or processor_config.json; none for a class whose images are not read. */
export function unknownProcessorKeys(architecture: string, settings: ConfigJson): string[][] {
  const table = encoders[architecture]?.processorKeys;
  if (!table) return [];
  const { image_processor: _, ...outer } = settings;
  return [
    ...unknownKeys(table, outer)
      .filter(key => !OTHER_PROCESSORS.includes(key))
      .map(key => [key]),
    ...unknownInside('image_processor', table, settings),
  ];
}

/** True for classes whose images are read. */
export const readsImages = (architecture: string): boolean => Object.hasOwn(encoders, architecture);

/** @returns undefined for a class whose images are not read. @throws ModelConfigError for a config or processor that is not computed */
export const visionEncoder = (architecture: string, files: VisionFiles): VisionEncoder | undefined => encoders[architecture]?.read(files);
