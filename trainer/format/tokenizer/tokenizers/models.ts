/** The kinds of `model` in tokenizer.json. */
import { isOneOf, namesOf } from '../../../catalog/entries.ts';
import { isRecord } from '../../../narrow.ts';
import { createBpe } from './bpe.ts';
import { type Component, integer, text } from './component.ts';
import { createUnigram } from './unigram.ts';
import type { Model, Vocabulary } from './vocabulary.ts';

export type ModelKind = 'BPE' | 'WordPiece' | 'Unigram' | 'WordLevel';

const KINDS: Readonly<Record<ModelKind, (component: Component, vocabulary: Vocabulary) => Model>> = {
  BPE: createBpe,
  Unigram: createUnigram,
  WordPiece: wordPiece,
  WordLevel: (component, vocabulary) => {
    const unknown = vocabulary.id(text(component, 'unk_token', '<unk>'));
    return word => [vocabulary.id(word) ?? required(unknown)];
  },
};

/** The kind of a model; files older than the field `type` are recognized by their other fields. */
export function modelKind(model: Component): ModelKind {
  const { type } = model;
  if (isOneOf(namesOf(KINDS), type)) return type;
  if (type !== undefined) throw new Error(`its model ${JSON.stringify(type).slice(0, 80)} is not supported`);
  if (Array.isArray(model.vocab)) return 'Unigram';
  if (model.merges !== undefined) return 'BPE';
  return isRecord(model) && model.continuing_subword_prefix !== undefined ? 'WordPiece' : 'WordLevel';
}

/**
 * A function that returns the ids of words as they occur in texts. @param spell converts a word to the vocabulary's spelling @throws Error
 * for a wrong field
 */
export const createModel = (model: Component, vocabulary: Vocabulary, spell: (word: string) => string): Model =>
  remembering(KINDS[modelKind(model)](model, vocabulary), spell);

/** Maximum word length; BERT's is 100. The time per word grows quadratically. */
const MAX_WORD_CHARACTERS = 1000;

/** Number of cached words in each of two generations: about 20 MB together. The common words of a language are far fewer. */
const REMEMBERED_WORDS = 50_000;
const REMEMBERED_CHARACTERS = 64;

/** Caches the ids of short words, since words recur. When a generation is full, words that were not used during it are evicted. */
function remembering(model: Model, spell: (word: string) => string): Model {
  let recent = new Map<string, readonly number[]>();
  let older: typeof recent = new Map();
  return word => {
    if (word.length > REMEMBERED_CHARACTERS) return model(spell(word));
    const known = recent.get(word);
    if (known !== undefined) return known;
    const ids = older.get(word) ?? model(spell(word));
    if (recent.size >= REMEMBERED_WORDS) [older, recent] = [recent, new Map()];
    recent.set(copyOf(word), ids);
    return ids;
  };
}

/** Copies a string: a substring would keep the whole text in memory. */
const copyOf = (word: string): string => Buffer.from(word, 'utf16le').toString('utf16le');

/**
 * Takes the longest piece that a word starts with, then the longest that continues there; if a part of the word is missing, the whole word
 * is unknown.
 */
function wordPiece(component: Component, vocabulary: Vocabulary): Model {
  const unknown = vocabulary.id(text(component, 'unk_token', '[UNK]'));
  const prefix = text(component, 'continuing_subword_prefix', '##');
  const longest = integer(component, 'max_input_chars_per_word', 100, MAX_WORD_CHARACTERS);
  return word => {
    const characters = Array.from(word);
    if (characters.length > longest) return [required(unknown)];
    const ids: number[] = [];
    for (let from = 0; from < characters.length; ) {
      let to = characters.length;
      let id: number | undefined;
      for (; to > from; to--) {
        id = vocabulary.id((from > 0 ? prefix : '') + characters.slice(from, to).join(''));
        if (id !== undefined) break;
      }
      if (id === undefined) return [required(unknown)];
      ids.push(id);
      from = to;
    }
    return ids;
  };
}

function required(unknown: number | undefined): number {
  if (unknown === undefined) throw new Error('a text has a word that the tokenizer lacks, and there is no unknown token');
  return unknown;
}
