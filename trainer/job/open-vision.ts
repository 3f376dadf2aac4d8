/** Opens the part of a language model that reads images, if it has one. */
import { readProcessorConfig } from '../format/image/processor-config.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import { encoderOf } from '../model/vision/open-encoder.ts';
import type { VisionEncoder } from '../model/vision/vision-encoder.ts';

/**
 * @param maxPixels see `encoderOf`
 * @returns undefined for a model that reads no images
 * @throws ModelConfigError, ModelFileError for files of a processor or an encoder that cannot be used
 */
export async function openVision(
  { dir, config }: Pick<ModelFolder, 'dir' | 'config'>,
  model: AnyModel,
  maxPixels?: number,
): Promise<VisionEncoder | undefined> {
  // Other models have no processor to read.
  if (model.kind !== 'causal' || model.vision === undefined) return undefined;
  return encoderOf(model, { config, processor: await readProcessorConfig(dir) }, maxPixels);
}
