/**
 * Reads config.json and similar files as plain records, with a size limit and positions of syntax errors. The model room interprets the
 * keys.
 */

import { stat } from 'node:fs/promises';
import { asMlxForm } from '../catalog/coded-forms.ts';
import { JsonSyntaxError, parseStrictJson } from '../files/strict-json.ts';
import { isRecord } from '../narrow.ts';
import { readModelFile } from './byte-file.ts';
import { ModelFileError } from './model-file-error.ts';

/** Maximum size: real ones have a few kilobytes; label maps of large classifiers reach a few hundred. */
const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

export type ModelConfig = Readonly<Record<string, unknown>>;

/** The `quantization_config` of a model, or of its language model; for MLX, the key `quantization`. */
export function quantizationOf({ quantization, quantization_config: own, text_config: text }: ModelConfig): ModelConfig | undefined {
  const how = asMlxForm(quantization) ?? own ?? (isRecord(text) ? text.quantization_config : undefined);
  return isRecord(how) ? how : undefined;
}

/** @throws ModelFileError if the file is missing, too large, not JSON (with line and column) or not an object */
export async function readConfigFile(path: string): Promise<ModelConfig> {
  if (!(await isThere(path)))
    throw new ModelFileError(path, 'does not exist', 'A model folder needs a config.json: check the path, or download the model again.');
  return parseConfig(path, (await readModelFile(path, MAX_CONFIG_BYTES)).toString('utf8'));
}

/** Like {@link readConfigFile}, for an optional file of a model. */
export async function readOptionalConfigFile(path: string): Promise<ModelConfig | undefined> {
  return (await isThere(path)) ? readConfigFile(path) : undefined;
}

/** True if the path exists, whatever it is: a pipe in place of a file is a separate error, not a missing file. */
export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Parses `text`, the file's content; `path` is for messages. Pure. */
export function parseConfig(path: string, text: string): ModelConfig {
  const value = parseModelJson(path, text, { allowNonFinite: true });
  if (!isRecord(value)) throw new ModelFileError(path, 'does not hold a JSON object', 'Correct it, or download it again.');
  return value;
}

/** Parses any JSON of a model. @throws ModelFileError with the line and column of a syntax error */
export function parseModelJson(path: string, text: string, options?: { readonly allowNonFinite: boolean }): unknown {
  try {
    return parseStrictJson(text, options);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new ModelFileError(path, `is not valid JSON: ${error.message}`, 'Correct it there, or download it again.');
  }
}

/** Returns undefined if the file does not exist. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? stats.size : undefined;
  } catch {
    return undefined;
  }
}
