/** Opens a model of any kind: a folder, a file, or a name on the hub. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openByteFile } from '../format/byte-file.ts';
import { readFolderConfig } from '../format/folder-config.ts';
import { ggufConfig, ggufGenerationConfig } from '../format/gguf/gguf-config.ts';
import { isModelGguf } from '../format/gguf/gguf-file-name.ts';
import { readGgufHeader } from '../format/gguf/gguf-header.ts';
import { openGguf } from '../format/gguf/gguf-source.ts';
import { ggufTokenizerFiles, ggufTokenizerSettings } from '../format/gguf/tokenizer/gguf-tokenizer.ts';
import { readProcessorConfig } from '../format/image/processor-config.ts';
import { fileSize, type ModelConfig, quantizationOf, readOptionalConfigFile } from '../format/model-config.ts';
import { ModelFileError } from '../format/model-file-error.ts';
import { openPlainWeights } from '../format/plain-weights.ts';
import { type FolderVectors, readVectors } from '../format/sentence-modules.ts';
import type { TensorInfo, TensorSource } from '../format/tensor-source.ts';
import { createTokenizer, readTemplate, type Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { loadTokenizer, readTexts, SETTINGS_FILES } from '../format/tokenizer/tokenizer-files.ts';
import { openWeightFiles, type WeightFiles } from '../format/weight-files.ts';
import { formOf, WEIGHT_FILES, WEIGHT_FORMS, type WeightForm } from '../format/weight-forms.ts';
import { isHubName, modelAt } from '../protocol/hub-name.ts';
import type { DenseLayer } from '../protocol/pooling.ts';
import { asFilesHaveIt } from './bare-model.ts';
import { type DownloadOptions, downloadModel } from './hub-download.ts';
import { type ModuleFile, withModuleWeights } from './module-weights.ts';
import { holdsOwnHead } from './tied-head.ts';

export interface ModelFolder extends FolderVectors {
  /** The source as the user wrote it. */
  readonly source: string;
  readonly kind: 'safetensors' | 'torch' | 'gguf';
  /** The folder of the files. */
  readonly dir: string;
  /** The file of a GGUF model. */
  readonly ggufPath?: string;
  /** Set if MLX wrote the weights, whose experts have names that Transformers does not know. */
  readonly isOfMlx?: true;
  /**
   * Hugging Face's config.json (with `tie_word_embeddings` and the class corrected to match the weights), or its equivalent derived from
   * GGUF metadata.
   */
  readonly config: ModelConfig;
  readonly weights: TensorSource;
  readonly generationConfig: ModelConfig | undefined;
  /** Names of the files in `dir` that an export copies unchanged; empty for GGUF. The tokenizer's files are in `Tokenizer.files()`. */
  readonly exportFiles: readonly string[];
  /** @throws ModelFileError if the model has no tokenizer, or it cannot be used */
  loadTokenizer(): Promise<Tokenizer>;
}

/** The facts that are known without any weights; the editor estimates memory from them. */
export interface ModelHeaders extends FolderVectors {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The settings of the processor of images; undefined if they were not looked for, or cannot be read. */
  readonly processor?: ModelConfig | undefined;
  /** The folder of the tokenizer's files; undefined if they were not looked for, or the tokenizer is in a GGUF file. */
  readonly tokenizerDir?: string | undefined;
}

const COPIED_ON_EXPORT = [
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
] as const;

/**
 * Opens a folder, a `.gguf`, `.safetensors` or `.bin` file, a folder with one GGUF file, or a model by its name on the hub (`org/name`),
 * which is downloaded unless it is in the cache. A local path with that name takes precedence; without `options`, only local paths are
 * opened.
 * @throws ModelFileError or HubError with the problem and a remedy
 */
export async function openModel(nameOrPath: string, options?: DownloadOptions): Promise<ModelFolder> {
  if (await exists(nameOrPath)) return openLocal(nameOrPath, nameOrPath);
  if (!/^[^./~\\]/.test(nameOrPath))
    throw new ModelFileError(nameOrPath, 'does not exist', 'Put the model back there, or correct the path.');
  if (!isHubName(nameOrPath)) {
    throw new ModelFileError(
      nameOrPath,
      'is not a folder, a file or a name on the hub',
      `Check the path; a name on the hub has the form ${modelAt(nameOrPath) ?? 'organization/name'}.`,
    );
  }
  if (options === undefined) throw new ModelFileError(nameOrPath, 'does not exist', 'Check the path.');
  return openLocal(nameOrPath, await downloadModel(nameOrPath, options));
}

/** Reads config and tensor names, types and shapes of a local model; closes every file. */
export async function readModelHeaders(path: string): Promise<ModelHeaders> {
  if (!(await exists(path))) throw new ModelFileError(path, 'does not exist', 'Check the path, or download the model first.');
  const model = await openLocal(path, path);
  await model.weights.close();
  const { config, vectors, vectorsError } = model;
  const dir = model.kind === 'gguf' ? undefined : model.dir;
  const processor = dir === undefined ? undefined : await readProcessorConfig(dir).catch(() => undefined);
  return { config, tensors: model.weights.tensors, processor, vectors, vectorsError, tokenizerDir: dir };
}

/**
 * Reads the chat template of a local model and its special tokens, without the vocabulary of a folder.
 * @throws ModelFileError for a damaged file
 */
export async function readChatTemplate(path: string): Promise<Pick<Tokenizer, 'chatTemplate' | 'specialTokens'>> {
  const isFile = (await stat(path)).isFile();
  const dir = isFile ? dirname(path) : path;
  const gguf = isFile ? (path.endsWith('.gguf') ? path : undefined) : await findGguf(path);
  if (gguf === undefined) return readTemplate(dir, await readTexts(dir, SETTINGS_FILES));
  const file = await openByteFile(gguf);
  const header = await readGgufHeader(file).finally(() => file.close());
  return readTemplate(gguf, ggufTokenizerSettings(gguf, header));
}

async function openLocal(source: string, path: string): Promise<ModelFolder> {
  const isFile = (await stat(path)).isFile();
  if (isFile) return openFile(source, path);
  const gguf = await findGguf(path);
  return gguf === undefined ? openFolder(source, path, await findWeights(path)) : openGgufModel(source, gguf);
}

function openFile(source: string, path: string): Promise<ModelFolder> {
  if (path.endsWith('.gguf')) return openGgufModel(source, path);
  const form = formOf(path);
  if (form !== undefined) return openFolder(source, dirname(path), { path, form });
  throw new ModelFileError(path, 'is not a model', 'Give a folder with config.json and weights, a .gguf, .safetensors or .bin file.');
}

/** @throws ModelFileError if the folder has several GGUF files and no other weights */
async function findGguf(dir: string): Promise<string | undefined> {
  const names = await readdir(dir);
  const found = names.filter(isModelGguf);
  if (found.length === 0 || WEIGHT_FILES.some(name => names.includes(name))) return undefined;
  if (found.length > 1)
    throw new ModelFileError(dir, `has ${found.length} GGUF files (${found.join(', ')})`, 'Give the path of the one you mean.');
  return join(dir, found[0] ?? '');
}

async function openGgufModel(source: string, path: string): Promise<ModelFolder> {
  const { header, weights, ropeFactors, ropeFactorsByLength } = await openGguf(path);
  try {
    const generationConfig = ggufGenerationConfig(header);
    return {
      source,
      kind: 'gguf',
      dir: dirname(path),
      ...(await readVectors(dirname(path))),
      ggufPath: path,
      config: ggufConfig({ path, header, tensors: weights.tensors, ropeFactors, ropeFactorsByLength }),
      weights,
      generationConfig,
      exportFiles: [],
      loadTokenizer: async () => createTokenizer({ source: path, files: ggufTokenizerFiles(path, header), generationConfig }),
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function openFolder(source: string, dir: string, { path, form }: FoundWeights): Promise<ModelFolder> {
  const written = await readFolderConfig(dir);
  const generationConfig = await readOptionalConfigFile(join(dir, 'generation_config.json'));
  const pooling = await readVectors(dir);
  const weights = await opened(openPlainWeights(path, form.format, written), async files =>
    withModuleWeights(files, await openModules(dir, pooling.vectors?.dense ?? [])),
  );
  const isUntied = written.tie_word_embeddings !== false && (await holdsOwnHead(weights));
  const config = asFilesHaveIt(isUntied ? { ...written, tie_word_embeddings: false } : written, weights.tensors);
  const present = new Set(await readdir(dir));
  return {
    source,
    kind: form.kind,
    dir,
    ...((weights.metadata.format === 'mlx' || quantizationOf(written)?.quant_method === 'mlx') && { isOfMlx: true }),
    config,
    weights,
    ...pooling,
    generationConfig,
    exportFiles: COPIED_ON_EXPORT.filter(name => present.has(name)),
    loadTokenizer: () => loadTokenizer({ dir, config, generationConfig }),
  };
}

/** Opens the files of the layers after the pooling. */
async function openModules(dir: string, modules: readonly DenseLayer[]): Promise<ModuleFile[]> {
  const found: ModuleFile[] = [];
  try {
    for (const module of modules) {
      const { path, form } = await findWeights(join(dir, module.at));
      found.push({ module, files: await openWeightFiles(path, form.format) });
    }
    return found;
  } catch (error) {
    await Promise.all(found.map(({ files }) => files.close()));
    throw error;
  }
}

/** Converts opened files, and closes them if the conversion fails. */
async function opened(files: Promise<WeightFiles>, make: (files: WeightFiles) => Promise<WeightFiles>): Promise<WeightFiles> {
  const found = await files;
  try {
    return await make(found);
  } catch (error) {
    await found.close();
    throw error;
  }
}

interface FoundWeights {
  /** The path of the single file, or of the index. */
  readonly path: string;
  readonly form: WeightForm;
}

/** The weights of an adapter, of ours and of PEFT's. */
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

async function findWeights(dir: string): Promise<FoundWeights> {
  for (const form of WEIGHT_FORMS)
    for (const name of [form.single, form.index])
      if ((await fileSize(join(dir, name))) !== undefined) return { path: join(dir, name), form };
  const names = await readdir(dir);
  if (names.includes(ADAPTER_WEIGHTS))
    throw new ModelFileError(
      dir,
      'holds an adapter, which is not a whole model',
      'Name its base as the model, with this folder as --adapter of generate and evaluate; or export the run with --format merged.',
    );
  const others = names.filter(name => /\.(bin|pt|pth|h5|msgpack)$/.test(name));
  throw new ModelFileError(
    dir,
    `has none of ${WEIGHT_FILES.join(', ')}`,
    others.length === 0 ? 'Check the path.' : `What it has (${others.join(', ')}) is of another form: save the model with save_pretrained.`,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
