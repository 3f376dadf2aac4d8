/** The encoder of a language model, with a limit for the size of images. */
import { IMAGE_MAX_PIXELS } from '../../protocol/image-size.ts';
import { architectureOf } from '../load-model.ts';
import type { AnyModel } from '../model-spec.ts';
import type { VisionEncoder, VisionFiles } from './vision-encoder.ts';
import { visionEncoder } from './vision-encoders.ts';

/**
 * @param maxPixels size beyond which images are made smaller, if the model takes images of several sizes
 * @returns undefined for a model that reads no images
 * @throws ModelConfigError for files of a processor or an encoder that are not computed
 */
export function encoderOf(model: AnyModel, files: VisionFiles, maxPixels: number = IMAGE_MAX_PIXELS): VisionEncoder | undefined {
  const architecture = architectureOf(files.config);
  if (model.kind !== 'causal' || model.vision === undefined || architecture === undefined) return undefined;
  const encoder = visionEncoder(architecture, files);
  return encoder && { ...encoder, layout: size => encoder.layout(size, maxPixels) };
}
