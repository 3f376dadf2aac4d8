/**
 * The config of a model folder: config.json, and the file in which Model Optimizer says how it quantized the weights. Its older versions
 * say so only there.
 */
import { join } from 'node:path';
import { asModeloptForm, unreadKeyOf } from '../catalog/coded-forms.ts';
import { isRecord } from '../narrow.ts';
import { type ModelConfig, quantizationOf, readConfigFile, readOptionalConfigFile } from './model-config.ts';
import { clip, ModelFileError } from './model-file-error.ts';

export const CONFIG_FILE = 'config.json';
export const QUANT_FILE = 'hf_quant_config.json';

/** @throws ModelFileError if config.json is missing, or one of the files is damaged, or if they contradict each other */
export const readFolderConfig = async (dir: string): Promise<ModelConfig> => joined(dir, await readConfigFile(join(dir, CONFIG_FILE)));

/** Like {@link readFolderConfig}; undefined for a folder without a config.json. */
export async function readOptionalFolderConfig(dir: string): Promise<ModelConfig | undefined> {
  const config = await readOptionalConfigFile(join(dir, CONFIG_FILE));
  return config && joined(dir, config);
}

async function joined(dir: string, config: ModelConfig): Promise<ModelConfig> {
  const path = join(dir, QUANT_FILE);
  return withQuantFile(config, await readOptionalConfigFile(path), path);
}

/**
 * Returns the config with the content of Model Optimizer's file as its `quantization_config`, unless it has one.
 * @param path is for messages @throws ModelFileError if the file names a form that is not read, or another than the config does
 */
export function withQuantFile(config: ModelConfig, file: ModelConfig | undefined, path: string): ModelConfig {
  if (file === undefined) return config;
  const how = asModeloptForm(file);
  // Null says that only the cache of keys and values is quantized.
  if (how.quant_algo === null) return config;
  const own = quantizationOf(config);
  if (own !== undefined) {
    if (own.quant_method !== how.quant_method || !isSame(own.quant_algo ?? how.quant_algo, how.quant_algo))
      throw new ModelFileError(
        path,
        `has quant_algo ${shown(how.quant_algo)}, but the quantization_config of ${CONFIG_FILE} has ${shown(own.quant_algo ?? own.quant_method)}`,
        'Remove the file that does not belong to the weights, or download the model again.',
      );
    return config;
  }
  const unread = unreadKeyOf(how);
  if (unread)
    throw new ModelFileError(
      path,
      unread.value === undefined ? `has no ${unread.key}` : `has ${unread.key} ${shown(unread.value)}, which is not read`,
      `Supported: ${unread.supported}. Otherwise take the model as it was before quantization.`,
    );
  return { ...config, quantization_config: how };
}

const lower = (value: unknown): unknown => (typeof value === 'string' ? value.toLowerCase() : value);
const isSame = (a: unknown, b: unknown): boolean => lower(a) === lower(b);
const shown = (value: unknown): string => clip(isRecord(value) ? JSON.stringify(value) : String(value));
