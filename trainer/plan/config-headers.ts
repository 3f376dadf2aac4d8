/** The headers that a model of this config.json has, for counting where its weights are not at hand. */
import path from 'node:path';
import { readConfigFile } from '../format/model-config.ts';
import { loadModel } from '../model/load-model.ts';
import type { EstimateParams } from './memory/predict.ts';

/** @throws ModelFileError or ModelConfigError where the config is not one of a supported model */
export async function configHeaders(folder: string): Promise<EstimateParams['headers']> {
  const config = await readConfigFile(path.join(folder, 'config.json'));
  return { config, tensors: new Map(loadModel(config).parameters.map(parameter => [parameter.name, parameter])) };
}
