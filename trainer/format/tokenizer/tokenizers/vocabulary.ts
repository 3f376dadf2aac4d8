/** The `model` of tokenizer.json: words to ids. */
import { isRecord } from '../../../narrow.ts';

/** The ids of a word. */
export type Model = (word: string) => readonly number[];

export interface Vocabulary {
  id(token: string): number | undefined;
  token(id: number): string | undefined;
  /** How many different tokens it has. */
  readonly size: number;
}

/** Returns whether a vocabulary is a map of tokens to ids. @throws Error for a map to something else */
export function isIds(vocab: unknown): vocab is Readonly<Record<string, number>> {
  if (!isRecord(vocab)) return false;
  for (const [token, id] of Object.entries(vocab))
    if (typeof id !== 'number') throw new Error(`its vocabulary has no number for ${JSON.stringify(token).slice(0, 80)}`);
  return true;
}

/** Token → id from an object, or from a list of pieces with scores. */
export function readVocabulary(vocab: unknown): Vocabulary {
  const entries: Array<[string, number]> = Array.isArray(vocab)
    ? vocab.map((piece, id): [string, number] => [String(Array.isArray(piece) ? piece[0] : piece), id])
    : isIds(vocab)
      ? Object.entries(vocab)
      : [];
  const ids = new Map(entries);
  const tokens: string[] = [];
  for (const [token, id] of entries) tokens[id] = token;
  return { id: token => ids.get(token), token: id => tokens[id], size: ids.size };
}

const encoder = new TextEncoder();

/** The tokens `<0x41>` of a text's bytes; undefined where one is missing. */
export function fallbackBytes(text: string, vocabulary: Vocabulary): readonly number[] | undefined {
  const ids: number[] = [];
  for (const byte of encoder.encode(text)) {
    const id = vocabulary.id(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}
