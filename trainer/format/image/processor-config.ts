/** The settings of the processor that prepares images for a language model. */
import path from 'node:path';
import { type ModelConfig, readOptionalConfigFile } from '../model-config.ts';
import { PREPROCESSOR_FILE } from './image-preprocessing.ts';

/** The file in which Transformers 5 keeps the settings of all processors of a model, and the one for images alone. */
export const PROCESSOR_FILES = ['processor_config.json', PREPROCESSOR_FILE] as const;

/**
 * The settings of the processor in a folder. Empty if the folder has neither file.
 * @throws ModelFileError for a file that cannot be read
 */
export async function readProcessorConfig(dir: string): Promise<ModelConfig> {
  const [whole, own] = await Promise.all(PROCESSOR_FILES.map(name => readOptionalConfigFile(path.join(dir, name))));
  return processorSettings(whole, own);
}

/**
 * The settings of the image processor: those in processor_config.json, or those of preprocessor_config.json, next to the settings of
 * processor_config.json that concern text and images together. A setting of both is that of the latter: Pixtral's processor gives its image
 * processor another size of patches. LightOnOCR's does not, so `image_patch_size` has that of the image processor.
 * @param whole processor_config.json
 * @param own preprocessor_config.json
 */
export function processorSettings(whole: ModelConfig = {}, own: ModelConfig = {}): ModelConfig {
  const { image_processor: inner, ...outer } = whole;
  const images: ModelConfig = { ...own, ...(typeof inner === 'object' && inner) };
  return { ...images, ...outer, ...('patch_size' in images && { image_patch_size: images.patch_size }) };
}
