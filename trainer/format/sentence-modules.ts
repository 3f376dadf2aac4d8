/**
 * The sentence-transformers files of a model folder: `modules.json` lists the steps after the model, `1_Pooling/config.json` states how the
 * tokens' states become one vector, folders such as `2_Dense` hold layers that the vector passes through, and `Normalize` means that it is
 * normalized to length 1. `config_sentence_transformers.json` holds the prompts that are put before texts.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { namesOf } from '../catalog/entries.ts';
import { writeJson, writeTextFile } from '../files/durable-file.ts';
import { isRecord } from '../narrow.ts';
import type { DenseLayer, Pooling, PoolingMode, TextPrompts } from '../protocol/pooling.ts';
import { readModelFile } from './byte-file.ts';
import { isThere, parseModelJson, readConfigFile, readOptionalConfigFile } from './model-config.ts';
import { ModelFileError } from './model-file-error.ts';

export const MODULES_FILE = 'modules.json';
export const POOLING_FILE = '1_Pooling/config.json';
export const LENGTH_FILE = 'sentence_bert_config.json';
export const SENTENCE_CONFIG = 'config_sentence_transformers.json';

const modes = {
  cls: 'pooling_mode_cls_token',
  mean: 'pooling_mode_mean_tokens',
  max: 'pooling_mode_max_tokens',
  lasttoken: 'pooling_mode_lasttoken',
} as const satisfies Readonly<Record<PoolingMode, string>>;
const MAX_MODULES_BYTES = 2 ** 20;
const modulesSchema = z.array(z.object({ path: z.string(), type: z.string() })).max(64);

const remedy = `Only the modules Transformer, Pooling (${namesOf(modes).join(', ')}), Dense without activation, and Normalize are computed here; choose another base.`;

/** Returns the pooling without prompts; undefined for a folder that is not in sentence-transformers' format. @throws ModelFileError for unsupported modules */
export async function readSentenceModules(dir: string): Promise<Pooling | undefined> {
  const path = join(dir, MODULES_FILE);
  if (!(await isThere(path))) return undefined;
  const parsed = modulesSchema.safeParse(parseModelJson(path, (await readModelFile(path, MAX_MODULES_BYTES)).toString('utf8')));
  if (!parsed.success) throw new ModelFileError(path, 'is not a list of modules with path and type', remedy);
  const [transformer, pooling, ...rest] = parsed.data.map(({ type, path: at }) => ({ kind: type.split('.').at(-1) ?? '', at }));
  if (transformer?.kind !== 'Transformer' || transformer.at !== '' || pooling?.kind !== 'Pooling')
    throw new ModelFileError(path, `lists ${parsed.data.map(({ type }) => type).join(', ')}`, remedy);
  const normalize = rest.at(-1)?.kind === 'Normalize';
  const layers = normalize ? rest.slice(0, -1) : rest;
  const other = layers.find(({ kind }) => kind !== 'Dense');
  if (other) throw new ModelFileError(path, `lists the module ${other.kind}`, remedy);
  const mode = await readPooling(dir, pooling.at);
  const dense = await Promise.all(layers.map(({ at }) => readDense(dir, at)));
  return { mode, ...(dense.length > 0 && { dense }), normalize };
}

/** How a folder of sentence-transformers computes vectors, or the error that names its unsupported modules. */
export interface FolderVectors {
  readonly vectors?: Pooling | undefined;
  readonly vectorsError?: ModelFileError | undefined;
}

/** Reads both; neither is set for other folders. Unsupported modules only matter to embeddings, which call {@link poolingIn}. */
export async function readVectors(dir: string): Promise<FolderVectors> {
  try {
    return { vectors: await readSentenceModules(dir) };
  } catch (error) {
    if (error instanceof ModelFileError) return { vectorsError: error };
    throw error;
  }
}

/** Returns the pooling that a folder sets. @throws ModelFileError for unsupported modules */
export function poolingIn({ vectors, vectorsError }: FolderVectors): Pooling | undefined {
  if (vectorsError) throw vectorsError;
  return vectors;
}

const denseSchema = z.strictObject({
  in_features: z.int().min(1).max(65_536),
  out_features: z.int().min(1).max(65_536),
  bias: z.boolean().default(true),
  activation_function: z.literal('torch.nn.modules.linear.Identity'),
  module_input_name: z.literal('sentence_embedding').optional(),
  module_output_name: z.literal('sentence_embedding').nullish(),
  use_residual: z.literal(false).optional(),
});

async function readDense(dir: string, at: string): Promise<DenseLayer> {
  const path = join(moduleFolder(dir, at), 'config.json');
  const parsed = denseSchema.safeParse(await readConfigFile(path));
  if (!parsed.success) {
    const keys = parsed.error.issues.map(({ path: [key], message }) => (key === undefined ? message : `${String(key)}: ${message}`));
    throw new ModelFileError(path, `asks for a layer that is not computed (${keys.join('; ')})`, remedy);
  }
  const { in_features: width, out_features: out, bias: biased } = parsed.data;
  return { at, width, out, biased };
}

/** @throws ModelFileError if the path may be outside the model's folder */
function moduleFolder(dir: string, at: string): string {
  if (!/^[\w-]+$/.test(at)) throw new ModelFileError(join(dir, MODULES_FILE), `names the folder "${at}"`, remedy);
  return join(dir, at);
}

/** Reads the pooling mode. Older files have a flag for each mode, newer ones `pooling_mode`. */
async function readPooling(dir: string, at: string): Promise<PoolingMode> {
  const path = join(moduleFolder(dir, at), 'config.json');
  const config = await readConfigFile(path);
  const { pooling_mode: named } = config;
  const flags = Object.entries(config).flatMap(([key, value]) => (key.startsWith('pooling_mode_') && value === true ? [key] : []));
  const found = namesOf(modes).filter(mode => named === mode || flags.includes(modes[mode]));
  const [mode] = found;
  if (mode === undefined || found.length > 1 || flags.length > 1 || (named !== undefined && named !== mode))
    throw new ModelFileError(
      path,
      `pools by ${[...flags, ...(named === undefined ? [] : [JSON.stringify(named)])].join(', ') || 'nothing'}`,
      remedy,
    );
  if (config.include_prompt === false) throw new ModelFileError(path, 'leaves out the prompt (include_prompt: false)', remedy);
  return mode;
}

/** The names that sentence-transformers uses for the prompts of texts that queries search. */
const DOCUMENT_PROMPTS = ['document', 'passage', 'corpus'] as const;

/** Returns the prompts; empty if the folder has none. */
export async function sentencePrompts(dir: string): Promise<TextPrompts> {
  const prompts = (await readOptionalConfigFile(join(dir, SENTENCE_CONFIG)))?.prompts;
  const textOf = (name: string): string | undefined => {
    const text = isRecord(prompts) ? prompts[name] : undefined;
    return typeof text === 'string' && text !== '' ? text : undefined;
  };
  return { query: textOf('query'), document: DOCUMENT_PROMPTS.map(textOf).find(text => text !== undefined) };
}

/** The maximum number of tokens per text in a sentence-transformers folder; undefined if it is not stated. */
export async function sentenceLength(dir: string): Promise<number | undefined> {
  const length = (await readOptionalConfigFile(join(dir, LENGTH_FILE)))?.max_seq_length;
  return typeof length === 'number' && Number.isInteger(length) && length > 0 ? length : undefined;
}

export interface WriteSentenceModulesParams extends Pooling {
  /** Length of a vector. */
  readonly dimensions: number;
  /** Maximum number of tokens per text; longer texts are cut. */
  readonly maxLength: number;
  /** The folder of the base, whose other prompts and settings are kept. */
  readonly baseDir?: string;
}

/** The weight file of a module, in its folder. */
export const MODULE_WEIGHTS = 'model.safetensors';

/** Adds the files to a folder that contains a text model with its tokenizer; the layers' weights are written together with the model's. */
export async function writeSentenceModules(dir: string, params: WriteSentenceModulesParams): Promise<void> {
  const { mode, dense = [], normalize, dimensions, maxLength, prompts = {}, baseDir } = params;
  const normalizeDir = `${2 + dense.length}_Normalize`;
  const module = (idx: number, path: string, type: string) => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${type}`,
  });
  const modules = [
    module(0, '', 'Transformer'),
    module(1, '1_Pooling', 'Pooling'),
    ...dense.map(({ at }, i) => module(2 + i, at, 'Dense')),
    ...(normalize ? [module(2 + dense.length, normalizeDir, 'Normalize')] : []),
  ];
  await writeJson(join(dir, MODULES_FILE), modules);
  await mkdir(join(dir, '1_Pooling'));
  const flags = Object.fromEntries(Object.entries(modes).map(([name, key]) => [key, name === mode]));
  await writeJson(join(dir, POOLING_FILE), { word_embedding_dimension: dimensions, ...flags });
  if (normalize) {
    // The module list names this folder, and Git and archives do not keep empty folders.
    await mkdir(join(dir, normalizeDir));
    await writeTextFile(join(dir, normalizeDir, 'README.md'), 'Normalizes vectors to length 1.\n');
  }
  for (const { at, width, out, biased } of dense) {
    await mkdir(join(dir, at), { recursive: true });
    const layer = { in_features: width, out_features: out, bias: biased, activation_function: 'torch.nn.modules.linear.Identity' };
    await writeJson(join(dir, at, 'config.json'), layer);
  }
  await writeJson(join(dir, LENGTH_FILE), { max_seq_length: maxLength, do_lower_case: false });
  const base = baseDir === undefined ? {} : await readOptionalConfigFile(join(baseDir, SENTENCE_CONFIG));
  const known = isRecord(base?.prompts) ? base.prompts : {};
  const own = Object.fromEntries(Object.entries(prompts).filter(([, text]) => text !== undefined));
  const settings = { default_prompt_name: null, similarity_fn_name: 'cosine', ...base, prompts: { ...known, ...own } };
  await writeJson(join(dir, SENTENCE_CONFIG), settings);
}
