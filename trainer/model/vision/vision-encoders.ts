/** The encoders of images, by the class of the whole model. */
import type { ConfigJson } from '../config-json.ts';
import { QWEN3_VL_DEEPSTACK } from './deepstack.ts';
import { gemma3, unknownGemma3TowerKeys } from './gemma3.ts';
import { lfm2Vl } from './lfm2-vl.ts';
import { unknownLfm2VlKeys } from './lfm2-vl-config.ts';
import { pixtral } from './pixtral.ts';
import { unknownPixtralKeys } from './pixtral-config.ts';
import { qwenVision } from './qwen-vision.ts';
import { unknownQwenTowerKeys } from './qwen-vision-config.ts';
import { qwenWindowVision, unknownWindowTowerKeys } from './qwen-window-vision.ts';
import { type SmolvlmArchitecture, smolvlm, unknownSmolvlmTowerKeys } from './smolvlm.ts';
import type { VisionEncoder, VisionFiles } from './vision-encoder.ts';

interface EncoderEntry {
  readonly read: (files: VisionFiles) => VisionEncoder;
  /** Returns the keys of `vision_config` that the encoder does not know. */
  readonly unknownKeys: (config: ConfigJson) => readonly string[];
}

const qwen = (architecture: string, deepstack?: readonly number[]): EncoderEntry => ({
  read: files => qwenVision(architecture, files, deepstack),
  unknownKeys: unknownQwenTowerKeys,
});

const smolvlmOf = (architecture: SmolvlmArchitecture): EncoderEntry => ({
  read: files => smolvlm(architecture, files),
  unknownKeys: unknownSmolvlmTowerKeys,
});

const encoders: Readonly<Record<string, EncoderEntry>> = {
  Gemma3ForConditionalGeneration: { read: gemma3, unknownKeys: unknownGemma3TowerKeys },
  Idefics3ForConditionalGeneration: smolvlmOf('Idefics3ForConditionalGeneration'),
  Lfm2VlForConditionalGeneration: { read: lfm2Vl, unknownKeys: unknownLfm2VlKeys },
  Mistral3ForConditionalGeneration: { read: pixtral, unknownKeys: unknownPixtralKeys },
  Qwen2_5_VLForConditionalGeneration: {
    read: files => qwenWindowVision('Qwen2_5_VLForConditionalGeneration', files),
    unknownKeys: unknownWindowTowerKeys,
  },
  Qwen3VLForConditionalGeneration: qwen('Qwen3VLForConditionalGeneration', QWEN3_VL_DEEPSTACK),
  Qwen3_5ForConditionalGeneration: qwen('Qwen3_5ForConditionalGeneration'),
  Qwen3_5MoeForConditionalGeneration: qwen('Qwen3_5MoeForConditionalGeneration'),
  SmolVLMForConditionalGeneration: smolvlmOf('SmolVLMForConditionalGeneration'),
};

/** Returns the unknown keys of `vision_config`; none for a class whose images are not read. */
export const unknownVisionKeys = (architecture: string, config: ConfigJson): string[][] =>
  (encoders[architecture]?.unknownKeys(config) ?? []).map(key => ['vision_config', key]);

/** True for classes whose images are read. */
export const readsImages = (architecture: string): boolean => Object.hasOwn(encoders, architecture);

/** @returns undefined for a class whose images are not read. @throws ModelConfigError for a config or processor that is not computed */
export const visionEncoder = (architecture: string, files: VisionFiles): VisionEncoder | undefined => encoders[architecture]?.read(files);
