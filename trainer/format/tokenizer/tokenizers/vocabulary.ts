/** The `model` of tokenizer.json: maps words to ids. */
import { isRecord } from '../../../narrow.ts';

/** Returns the ids of a word. */
export type Model = (word: string) => readonly number[];

export interface Vocabulary {
  id(token: string): number | undefined;
  token(id: number): string | undefined;
  /** Number of different tokens. */
  readonly size: number;
  /** The largest id; −1 if there are no tokens. */
  readonly largestId: number;
}

const entries = new WeakMap<object, readonly (readonly [string, unknown])[]>();

/** The entries of a map, cached: listing a large one takes a tenth of a second. */
export function entriesOf(vocab: Readonly<Record<string, unknown>>): readonly (readonly [string, unknown])[] {
  const known = entries.get(vocab) ?? Object.entries(vocab);
  entries.set(vocab, known);
  return known;
}

/** True if a vocabulary maps tokens to ids. @throws Error for a map to other values */
export function isIds(vocab: unknown): vocab is Readonly<Record<string, number>> {
  if (!isRecord(vocab)) return false;
  for (const [token, id] of entriesOf(vocab))
    if (typeof id !== 'number') throw new Error(`its vocabulary has no number for ${JSON.stringify(token).slice(0, 80)}`);
  return true;
}

/** Reads token → id from an object, or from a list of pieces with scores. */
export function readVocabulary(vocab: unknown): Vocabulary {
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  const add = (token: string, id: number): void => {
    ids.set(token, id);
    tokens[id] = token;
  };
  if (Array.isArray(vocab)) for (const [id, piece] of vocab.entries()) add(String(Array.isArray(piece) ? piece[0] : piece), id);
  else if (isIds(vocab)) for (const [token, id] of entriesOf(vocab)) if (typeof id === 'number') add(token, id);
  return { id: token => ids.get(token), token: id => tokens[id], size: ids.size, largestId: tokens.length - 1 };
}

const encoder = new TextEncoder();

/** The byte tokens (such as `<0x41>`) of a text; undefined if one is missing in the vocabulary. */
export function fallbackBytes(text: string, vocabulary: Vocabulary): readonly number[] | undefined {
  const ids: number[] = [];
  for (const byte of encoder.encode(text)) {
    const id = vocabulary.id(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}
