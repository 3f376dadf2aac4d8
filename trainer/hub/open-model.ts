/** One way to open a model, whatever it is: a folder, a file, or a name on the hub. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileSize, type ModelConfig, readConfigFile, readOptionalConfigFile } from './model-config.ts';
import { ModelFileError } from './model-file-error.ts';
import { INDEX_FILE, openSafetensors, SINGLE_FILE } from './safetensors-source.ts';
import type { TensorInfo, TensorSource } from './tensor-source.ts';
import { createTokenizer, MAX_TOKENIZER_FILE_BYTES, TOKENIZER_FILES, type Tokenizer } from './tokenizer.ts';

export interface ModelFolder {
  /** What the user wrote. */
  readonly source: string;
  readonly kind: 'safetensors' | 'gguf';
  /** The folder the files are in. */
  readonly dir: string;
  /** Hugging Face's config.json, or its equivalent made from GGUF metadata. */
  readonly config: ModelConfig;
  readonly weights: TensorSource;
  readonly generationConfig: ModelConfig | undefined;
  /** Names of the files in `dir` that an export copies unchanged; empty for GGUF. The tokenizer's are in `Tokenizer.files()`. */
  readonly exportFiles: readonly string[];
  /** @throws ModelFileError when the model has none or it cannot be used */
  loadTokenizer(): Promise<Tokenizer>;
}

/** What is known without any weight: the editor shows memory from it. */
export interface ModelHeaders {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

const COPIED_ON_EXPORT = ['generation_config.json', 'preprocessor_config.json', 'processor_config.json'] as const;

/**
 * Opens a model folder.
 * @throws ModelFileError that says what is missing or wrong and what to do
 */
export async function openModel(nameOrPath: string): Promise<ModelFolder> {
  const path = nameOrPath;
  return openFolder(nameOrPath, path);
}

/** Config and tensor names, types and shapes of a local model; every file is closed again. */
export async function readModelHeaders(path: string): Promise<ModelHeaders> {
  const model = await openModel(path);
  await model.weights.close();
  return { config: model.config, tensors: model.weights.tensors };
}

async function openFolder(source: string, path: string): Promise<ModelFolder> {
  const isFile = (await stat(path)).isFile();
  const dir = isFile ? dirname(path) : path;
  const config = await readConfigFile(join(dir, 'config.json'));
  const generationConfig = await readOptionalConfigFile(join(dir, 'generation_config.json'));
  const weights = await openSafetensors(isFile ? path : await findWeights(dir));
  const present = new Set(await readdir(dir));
  return {
    source,
    kind: 'safetensors',
    dir,
    config,
    weights,
    generationConfig,
    exportFiles: COPIED_ON_EXPORT.filter(name => present.has(name)),
    loadTokenizer: async () => createTokenizer({ source: dir, files: await readTokenizerFiles(dir), generationConfig }),
  };
}

async function findWeights(dir: string): Promise<string> {
  for (const name of [SINGLE_FILE, INDEX_FILE]) if ((await fileSize(join(dir, name))) !== undefined) return join(dir, name);
  const hasPickle = (await readdir(dir)).some(name => name.endsWith('.bin') || name.endsWith('.pth'));
  throw new ModelFileError(
    dir,
    `has neither ${SINGLE_FILE} nor ${INDEX_FILE}`,
    hasPickle
      ? 'It has pickled weights, which can run code and are not read: save the model with save_pretrained(…, safe_serialization=True).'
      : 'Check the path.',
  );
}

async function readTokenizerFiles(dir: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of TOKENIZER_FILES) {
    const size = await fileSize(join(dir, name));
    if (size === undefined) continue;
    if (size > MAX_TOKENIZER_FILE_BYTES)
      throw new ModelFileError(join(dir, name), `has ${size} bytes; at most ${MAX_TOKENIZER_FILE_BYTES} are read`, 'Check the file.');
    files.set(name, await readFile(join(dir, name), 'utf8'));
  }
  return files;
}
