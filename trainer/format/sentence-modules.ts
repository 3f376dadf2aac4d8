/**
 * The files that make a model folder one of sentence-transformers: `modules.json` lists what runs after the encoder, `1_Pooling/config.json`
 * says how the states of the tokens become one vector, and `2_Normalize` that it is brought to length 1.
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { namesOf } from '../catalog/entries.ts';
import { writeJson, writeTextFile } from '../files/durable-file.ts';
import { readModelFile } from './byte-file.ts';
import { isThere, parseModelJson, readConfigFile, readOptionalConfigFile } from './model-config.ts';
import { ModelFileError } from './model-file-error.ts';

export const MODULES_FILE = 'modules.json';
export const POOLING_FILE = '1_Pooling/config.json';
export const LENGTH_FILE = 'sentence_bert_config.json';
const SENTENCE_CONFIG = 'config_sentence_transformers.json';

const modes = { cls: 'pooling_mode_cls_token', mean: 'pooling_mode_mean_tokens', max: 'pooling_mode_max_tokens' } as const;
const MAX_MODULES_BYTES = 2 ** 20;
const modulesSchema = z.array(z.object({ path: z.string(), type: z.string() })).max(64);

export interface SentenceModules {
  readonly mode: keyof typeof modes;
  readonly normalize: boolean;
}

const remedy = 'Only the modules Transformer, Pooling (cls, mean or max) and Normalize are computed here; choose another base.';

/** Undefined for a folder that is none of sentence-transformers. @throws ModelFileError where it has modules that are not computed here */
export async function readSentenceModules(dir: string): Promise<SentenceModules | undefined> {
  const path = join(dir, MODULES_FILE);
  if (!(await isThere(path))) return undefined;
  const parsed = modulesSchema.safeParse(parseModelJson(path, (await readModelFile(path, MAX_MODULES_BYTES)).toString('utf8')));
  if (!parsed.success) throw new ModelFileError(path, 'is not a list of modules with path and type', remedy);
  const [transformer, pooling, ...rest] = parsed.data.map(({ type, path: at }) => ({ kind: type.split('.').at(-1) ?? '', at }));
  if (transformer?.kind !== 'Transformer' || transformer.at !== '' || pooling?.kind !== 'Pooling')
    throw new ModelFileError(path, `lists ${parsed.data.map(({ type }) => type).join(', ')}`, remedy);
  const other = rest.find(({ kind }) => kind !== 'Normalize');
  if (other) throw new ModelFileError(path, `lists the module ${other.kind}`, remedy);
  return { mode: await readPooling(dir, pooling.at), normalize: rest.length > 0 };
}

/** Older files have a flag for each mode, newer ones `pooling_mode`. */
async function readPooling(dir: string, at: string): Promise<SentenceModules['mode']> {
  if (!/^[\w-]+$/.test(at)) throw new ModelFileError(join(dir, MODULES_FILE), `names the folder "${at}" for Pooling`, remedy);
  const path = join(dir, at, 'config.json');
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

/** The most tokens of a text in a folder of sentence-transformers; undefined where it does not say. */
export async function sentenceLength(dir: string): Promise<number | undefined> {
  const length = (await readOptionalConfigFile(join(dir, LENGTH_FILE)))?.max_seq_length;
  return typeof length === 'number' && Number.isInteger(length) && length > 0 ? length : undefined;
}

export interface WriteSentenceModulesParams extends SentenceModules {
  /** Numbers of a vector. */
  readonly dimensions: number;
  /** Tokens of the longest text; longer ones are cut. */
  readonly maxLength: number;
}

/** Adds the files to a folder that holds an encoder with its tokenizer. */
export async function writeSentenceModules(
  dir: string,
  { mode, normalize, dimensions, maxLength }: WriteSentenceModulesParams,
): Promise<void> {
  const module = (idx: number, path: string, type: string) => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${type}`,
  });
  const modules = [
    module(0, '', 'Transformer'),
    module(1, '1_Pooling', 'Pooling'),
    ...(normalize ? [module(2, '2_Normalize', 'Normalize')] : []),
  ];
  await writeJson(join(dir, MODULES_FILE), modules);
  await mkdir(join(dir, '1_Pooling'));
  const flags = Object.fromEntries(Object.entries(modes).map(([name, key]) => [key, name === mode]));
  await writeJson(join(dir, POOLING_FILE), { word_embedding_dimension: dimensions, ...flags });
  if (normalize) {
    // Git and archives keep no empty folder, which the module list names.
    await mkdir(join(dir, '2_Normalize'));
    await writeTextFile(join(dir, '2_Normalize', 'README.md'), 'Brings vectors to length 1.\n');
  }
  await writeJson(join(dir, LENGTH_FILE), { max_seq_length: maxLength, do_lower_case: false });
  await writeJson(join(dir, SENTENCE_CONFIG), { prompts: {}, default_prompt_name: null, similarity_fn_name: 'cosine' });
}
