/** How the data pipeline turns images into text for a model that reads them. */
import { type ImageReading, imageReading } from '../data/vision/sample-image.ts';
import { visionFolder } from '../files/kept-image.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { VisionEncoder } from '../model/vision/vision-encoder.ts';

/** A language model with its encoder of images. */
export interface SeeingModel {
  readonly model: CausalModel;
  readonly vision: VisionEncoder;
}

/** @returns undefined for a model that reads no images */
export function imageReadingOf(
  { model, vision }: { readonly model: CausalModel; readonly vision?: VisionEncoder | undefined },
  cacheDir: string,
): ImageReading | undefined {
  if (!vision || !model.vision) return undefined;
  return imageReading(vision, model.vision.imageToken, visionFolder(cacheDir));
}
