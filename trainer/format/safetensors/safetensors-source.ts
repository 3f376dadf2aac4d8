/** Safetensors files as a TensorSource. */

import { openWeightFiles, type WeightFiles, type WeightFormat } from '../weight-files.ts';
import { readSafetensorsHeader } from './safetensors-header.ts';

export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

export const SAFETENSORS: WeightFormat = { extension: '.safetensors', readHeader: readSafetensorsHeader };

/**
 * Opens a `.safetensors` file or a `.safetensors.index.json`.
 * @throws ModelFileError listing every problem of a file, or every disagreement between index and shards
 */
export const openSafetensors = (path: string): Promise<WeightFiles> => openWeightFiles(path, SAFETENSORS);
