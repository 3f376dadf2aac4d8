/** The encoders of images, by the class of the whole model. */
import type { ConfigJson } from '../config-json.ts';
import type { VisionEncoder } from './vision-encoder.ts';

export interface VisionFiles {
  readonly config: ConfigJson;
  /** preprocessor_config.json, or the image processor in processor_config.json; empty if the folder has neither. */
  readonly processor: ConfigJson;
}

type ReadVision = (files: VisionFiles) => VisionEncoder;

const encoders: Readonly<Record<string, ReadVision>> = {};

/** @returns undefined for a class whose images are not read. @throws ModelConfigError for a config or processor that is not computed */
export const visionEncoder = (architecture: string, files: VisionFiles): VisionEncoder | undefined => encoders[architecture]?.(files);
