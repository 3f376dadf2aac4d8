/** Opens the part of a language model that reads images, if it has one. */
import { readProcessorConfig } from '../format/image/processor-config.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { architectureOf } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { VisionEncoder } from '../model/vision/vision-encoder.ts';
import { visionEncoder } from '../model/vision/vision-encoders.ts';
import { IMAGE_MAX_PIXELS } from '../protocol/image-size.ts';

/**
 * @param maxPixels size beyond which images are made smaller, if the model takes images of several sizes
 * @returns undefined for a model that reads no images
 * @throws ModelConfigError, ModelFileError for files of a processor or an encoder that cannot be used
 */
export async function openVision(
  { dir, config }: Pick<ModelFolder, 'dir' | 'config'>,
  model: AnyModel,
  maxPixels: number = IMAGE_MAX_PIXELS,
): Promise<VisionEncoder | undefined> {
  const architecture = architectureOf(config);
  if (model.kind !== 'causal' || model.vision === undefined || architecture === undefined) return undefined;
  const encoder = visionEncoder(architecture, { config, processor: await readProcessorConfig(dir) });
  return encoder && { ...encoder, layout: size => encoder.layout(size, maxPixels) };
}
