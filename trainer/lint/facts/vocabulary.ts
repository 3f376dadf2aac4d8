/** Reads the ids of a model folder's tokenizer, to compare them with the rows of the embedding. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { readRegularText } from '../../files/regular-file.ts';
import { isThere, type ModelConfig } from '../../format/model-config.ts';
import { type Vocabulary, vocabularyOf } from '../../format/tokenizer/tokenizer.ts';
import { buildTokenizer, readTexts } from '../../format/tokenizer/tokenizer-files.ts';

/** Maximum size of a tokenizer file. Parsing the largest one (33 MB) takes a second, so large files are left to the trainer. */
const MAX_TOKENIZER_BYTES = 20 * 2 ** 20;

/** Reads the vocabulary. Undefined for a tokenizer that is missing, large or damaged, which is not a problem of the config. */
export async function readVocabulary(folder: string, config: ModelConfig | undefined): Promise<Vocabulary | undefined> {
  const file = path.join(folder, 'tokenizer.json');
  try {
    if ((await stat(file).catch(() => undefined))?.isFile())
      return vocabularyOf(JSON.parse(await readRegularText(file, MAX_TOKENIZER_BYTES)));
    const built = config && (await buildTokenizer(folder, await readTexts(folder), config));
    return built && vocabularyOf(built.definition);
  } catch {
    return undefined;
  }
}

/** True if a folder has none of the files that a tokenizer is read from; one that is damaged is there. */
export async function lacksTokenizer(folder: string, config: ModelConfig): Promise<boolean> {
  if (await isThere(path.join(folder, 'tokenizer.json'))) return false;
  return (await buildTokenizer(folder, await readTexts(folder), config).catch(() => 'damaged')) === undefined;
}

/** Describes the ids without a row in an embedding with this many rows; undefined if all have one. */
export function idsWithoutRow(
  { texts, all }: Vocabulary,
  rows: number,
): { readonly severity?: 'info'; readonly message: string } | undefined {
  if (texts > rows)
    return {
      message: `the tokenizer gives ids up to ${texts - 1}, but the embedding has ${rows} rows: texts with such a token can't be used`,
    };
  if (all <= rows) return undefined;
  const message = `the tokenizer's added tokens have ids up to ${all - 1}, but the embedding has ${rows} rows: texts with such a token can't be used`;
  return { severity: 'info', message };
}
