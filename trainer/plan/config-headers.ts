/** Derives the headers of a model from its config alone, to count parameters when its weights are not available. */
import { readFolderConfig } from '../format/folder-config.ts';
import { loadModel } from '../model/load-model.ts';
import type { EstimateParams } from './memory/predict.ts';

type Headers = EstimateParams['headers'];

/** Returns the headers, of tensors in the model's form. @throws ModelConfigError if the config is not one of a supported model */
export const headersOf = (config: Headers['config']): Headers => ({
  config,
  tensors: new Map(loadModel(config).parameters.map(({ name, shape }) => [name, { shape, isConverted: true }])),
});

/** Reads the headers. @throws ModelFileError or ModelConfigError if the folder's config.json is not one of a supported model */
export const configHeaders = async (folder: string): Promise<Headers> => headersOf(await readFolderConfig(folder));
