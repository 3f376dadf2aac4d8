/** The headers that a model has by its config alone, for counting where its weights are not at hand. */
import path from 'node:path';
import { readConfigFile } from '../format/model-config.ts';
import { loadModel } from '../model/load-model.ts';
import type { EstimateParams } from './memory/predict.ts';

type Headers = EstimateParams['headers'];

/** @throws ModelConfigError where the config is not one of a supported model */
export const headersOf = (config: Headers['config']): Headers => ({
  config,
  tensors: new Map(loadModel(config).parameters.map(parameter => [parameter.name, parameter])),
});

/** @throws ModelFileError or ModelConfigError where the config.json in the folder is not one of a supported model */
export const configHeaders = async (folder: string): Promise<Headers> => headersOf(await readConfigFile(path.join(folder, 'config.json')));
