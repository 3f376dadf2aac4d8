/** The tokenizer in a model's folder: tokenizer.json, or older vocabulary formats that it can be built from. */
import { join } from 'node:path';
import { messageOf } from '../../protocol/error-facts.ts';
import { readModelFile } from '../byte-file.ts';
import { isThere, type ModelConfig } from '../model-config.ts';
import { ModelFileError } from '../model-file-error.ts';
import { parseSentencePiece } from './sentencepiece-model.ts';
import { sentencePieceDefinition } from './sentencepiece-tokenizer.ts';
import {
  type BuiltTokenizer,
  createTokenizer,
  MAX_TOKENIZER_FILE_BYTES,
  specialSettings,
  TOKENIZER_FILES,
  type Tokenizer,
} from './tokenizer.ts';
import { bertTokenizer, esmTokenizer, robertaTokenizer } from './vocabulary-tokenizer.ts';

/** File names of SentencePiece models, in order of preference. */
const SENTENCEPIECE_FILES = ['spm.model', 'tokenizer.model', 'spiece.model', 'sentencepiece.bpe.model'] as const;

/** The files that a folder may have in place of tokenizer.json. */
export const VOCABULARY_FILES: readonly string[] = [...SENTENCEPIECE_FILES, 'vocab.txt', 'vocab.json', 'merges.txt'];

interface FolderTokenizer {
  readonly dir: string;
  readonly config: ModelConfig;
  readonly generationConfig?: ModelConfig | undefined;
}

/** How Transformers reads the `vocab.txt` of a model type. */
const LINE_VOCABULARIES: ReadonlyMap<string, typeof bertTokenizer> = new Map([
  ['bert', bertTokenizer],
  ['distilbert', bertTokenizer],
  ['electra', bertTokenizer],
  ['esm', esmTokenizer],
]);

/** @throws ModelFileError if there is no readable tokenizer */
export async function loadTokenizer({ dir, config, generationConfig }: FolderTokenizer): Promise<Tokenizer> {
  const files = await readTexts(dir);
  const built = files.has('tokenizer.json') ? undefined : await buildTokenizer(dir, files, config);
  return createTokenizer({ source: dir, files, built, generationConfig });
}

/**
 * Builds a tokenizer from an older vocabulary format; undefined if the folder has none that is supported for its model type.
 * @param files as returned by {@link readTexts}
 * @throws ModelFileError if a vocabulary cannot be read
 */
export async function buildTokenizer(
  dir: string,
  files: ReadonlyMap<string, string>,
  config: ModelConfig,
): Promise<BuiltTokenizer | undefined> {
  const special = specialSettings(dir, files);
  for (const name of SENTENCEPIECE_FILES) {
    const path = join(dir, name);
    const bytes = await readBounded(path);
    if (bytes === undefined) continue;
    return sentencePieceDefinition({ path, model: await parseSentencePiece(path, bytes), modelType: config.model_type, special });
  }
  const words = await readBounded(join(dir, 'vocab.txt'));
  const fromLines = LINE_VOCABULARIES.get(String(config.model_type));
  if (words !== undefined && fromLines) return fromLines({ path: join(dir, 'vocab.txt'), text: words.toString('utf8'), special });
  const [vocabulary, merges] = [await readBounded(join(dir, 'vocab.json')), await readBounded(join(dir, 'merges.txt'))];
  if (vocabulary !== undefined && merges !== undefined && config.model_type === 'roberta')
    return robertaTokenizer({
      path: join(dir, 'vocab.json'),
      vocabulary: parse(join(dir, 'vocab.json'), vocabulary),
      merges: merges.toString('utf8'),
      special,
    });
  return undefined;
}

/** The files that describe a tokenizer, in addition to its vocabulary. */
export const SETTINGS_FILES = TOKENIZER_FILES.filter(name => name !== 'tokenizer.json');

/** Returns the contents of those named files that exist in the folder. */
export async function readTexts(dir: string, names: readonly string[] = TOKENIZER_FILES): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of names) {
    const bytes = await readBounded(join(dir, name));
    if (bytes !== undefined) files.set(name, bytes.toString('utf8'));
  }
  return files;
}

/** Returns undefined if the file does not exist. */
async function readBounded(path: string): Promise<Buffer | undefined> {
  return (await isThere(path)) ? readModelFile(path, MAX_TOKENIZER_FILE_BYTES) : undefined;
}

function parse(path: string, bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new ModelFileError(path, `is not valid JSON: ${messageOf(error)}`, 'Download it again.');
  }
}
