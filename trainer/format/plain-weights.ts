/** Weight files whose quantized weights are read as the numbers that they stand for. */
import { withBnbWeights } from './bnb-weights.ts';
import { withCodedWeights } from './coded/coded-weights.ts';
import type { ModelConfig } from './model-config.ts';
import { openWeightFiles, type WeightFiles, type WeightFormat } from './weight-files.ts';

/**
 * Opens a weight file, or all files that an index lists.
 * @param config the config.json next to it
 * @throws ModelFileError also for quantized weights whose parts do not fit each other
 */
export async function openPlainWeights(path: string, format: WeightFormat, config: ModelConfig): Promise<WeightFiles> {
  const files = await openWeightFiles(path, format);
  try {
    return await withBnbWeights(withCodedWeights(files, config, path), path);
  } catch (error) {
    await files.close();
    throw error;
  }
}
