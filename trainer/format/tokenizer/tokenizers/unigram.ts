/** SentencePiece's unigram model: splits a word into the pieces with the highest total score. */
import { elementAt, required } from '../../../narrow.ts';
import { type Component, flag } from './component.ts';
import { fallbackBytes, type Model, type Vocabulary } from './vocabulary.ts';

/** Penalty of an unknown character, in addition to the score of the worst piece. */
const UNKNOWN_PENALTY = 10;

/** Maximum number of characters in all pieces, each of which may take a trie node. The largest vocabularies have about 2 million. */
const MAX_PIECE_CHARACTERS = 8_000_000;

interface Node {
  readonly children: Map<number, Node>;
  piece: { readonly id: number; readonly score: number } | undefined;
}

const isPieces = (value: unknown): value is ReadonlyArray<readonly [string, number]> =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every(piece => Array.isArray(piece) && typeof piece[0] === 'string' && typeof piece[1] === 'number');

/** @throws Error if the vocabulary is not a list of pieces with scores */
export function createUnigram(component: Component, vocabulary: Vocabulary): Model {
  const pieces = component.vocab;
  if (!isPieces(pieces)) throw new Error('its unigram vocabulary is not a list of pieces with scores');
  const characters = pieces.reduce((sum, [piece]) => sum + piece.length, 0);
  if (characters > MAX_PIECE_CHARACTERS)
    throw new Error(`its vocabulary has pieces of ${characters} characters together; at most ${MAX_PIECE_CHARACTERS} are read`);
  const unknown = component.unk_id ?? undefined;
  if (unknown !== undefined && !(typeof unknown === 'number' && Number.isInteger(unknown) && unknown >= 0 && unknown < pieces.length))
    throw new Error('its unk_id is outside its vocabulary');
  const fallsBack = flag(component, 'byte_fallback', false);
  const unknownScore = pieces.reduce((least, [, score]) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const root = trie(pieces, vocabulary);

  return word => {
    const ids: number[] = [];
    for (const piece of bestCut(word, root, unknownScore, unknown)) {
      const id = vocabulary.id(piece);
      const bytes = id === undefined && fallsBack ? fallbackBytes(piece, vocabulary) : undefined;
      const own = id ?? unknown;
      if (bytes !== undefined) ids.push(...bytes);
      else if (own !== undefined) ids.push(own);
      else throw new Error('a text has a character that the tokenizer lacks, and there is no unknown token');
    }
    return ids;
  };
}

function trie(pieces: ReadonlyArray<readonly [string, number]>, vocabulary: Vocabulary): Node {
  const root: Node = { children: new Map(), piece: undefined };
  for (const [piece] of pieces) {
    if (piece === '') continue;
    let node = root;
    for (let i = 0; i < piece.length; i++) {
      const unit = piece.charCodeAt(i);
      let child = node.children.get(unit);
      if (child === undefined) {
        child = { children: new Map(), piece: undefined };
        node.children.set(unit, child);
      }
      node = child;
    }
    const id = required(vocabulary.id(piece), 'the id of a piece of the vocabulary');
    node.piece = { id, score: elementAt(pieces, id)[1] };
  }
  return root;
}

/** Finds the best split; consecutive unknown characters form one piece. */
function bestCut(word: string, root: Node, unknownScore: number, unknown: number | undefined): readonly string[] {
  const scores = new Float64Array(word.length + 1);
  const starts = new Int32Array(word.length + 1).fill(-1);
  const ids = new Int32Array(word.length + 1);
  const offer = (from: number, to: number, score: number, id: number): void => {
    const total = score + (scores[from] as number);
    if (starts[to] !== -1 && !(total > (scores[to] as number))) return;
    scores[to] = total;
    starts[to] = from;
    ids[to] = id;
  };
  for (let from = 0; from < word.length; ) {
    const step = required(word.codePointAt(from), 'the character') > 0xffff ? 2 : 1;
    let single = false;
    let node = root.children.get(word.charCodeAt(from));
    for (let to = from + 1; node !== undefined; node = node.children.get(word.charCodeAt(to)), to++) {
      if (node.piece === undefined) continue;
      offer(from, to, node.piece.score, node.piece.id);
      single ||= to - from === step;
    }
    if (!single) offer(from, from + step, unknownScore, unknown ?? -1);
    from += step;
  }
  const result: string[] = [];
  let pending = '';
  for (let to = word.length; to > 0; to = starts[to] as number) {
    const piece = word.slice(starts[to], to);
    if (ids[to] === (unknown ?? -1)) {
      pending = piece + pending;
      continue;
    }
    if (pending !== '') result.push(pending);
    pending = '';
    result.push(piece);
  }
  if (pending !== '') result.push(pending);
  return result.reverse();
}
