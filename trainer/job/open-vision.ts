/** Opens the part of a language model that reads images, if it has one. */
import path from 'node:path';
import { PREPROCESSOR_FILE } from '../format/image/image-preprocessing.ts';
import { readOptionalConfigFile } from '../format/model-config.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { architectureOf } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { VisionEncoder } from '../model/vision/vision-encoder.ts';
import { visionEncoder } from '../model/vision/vision-encoders.ts';
import { isRecord } from '../narrow.ts';

/** The file in which Transformers 5 keeps the settings of all processors of a model. */
const PROCESSOR_FILE = 'processor_config.json';

/**
 * @returns undefined for a model that reads no images
 * @throws ModelConfigError, ModelFileError for files of a processor or an encoder that cannot be used
 */
export async function openVision(
  { dir, config }: Pick<ModelFolder, 'dir' | 'config'>,
  model: AnyModel,
): Promise<VisionEncoder | undefined> {
  const architecture = architectureOf(config);
  if (model.kind !== 'causal' || model.vision === undefined || architecture === undefined) return undefined;
  const [whole, own] = await Promise.all([PROCESSOR_FILE, PREPROCESSOR_FILE].map(name => readOptionalConfigFile(path.join(dir, name))));
  const { image_processor: inner, ...outer } = whole ?? {};
  return visionEncoder(architecture, { config, processor: { ...outer, ...own, ...(isRecord(inner) && inner) } });
}
