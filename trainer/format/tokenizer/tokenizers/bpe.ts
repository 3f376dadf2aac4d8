/** Byte-pair encoding: merges a word's characters pairwise, in the order in which the merges were learned. */
import { type Component, flag, list } from './component.ts';
import { fallbackBytes, type Model, type Vocabulary } from './vocabulary.ts';

interface Merge {
  readonly rank: number;
  readonly id: number;
}

/** @throws Error for merges of tokens that are not in the vocabulary, and for random dropout */
export function createBpe(component: Component, vocabulary: Vocabulary): Model {
  if (typeof component.dropout === 'number' && component.dropout > 0)
    throw new Error('its dropout makes the tokens of a text random, which is not supported');
  const prefix = optionalText(component, 'continuing_subword_prefix');
  const suffix = optionalText(component, 'end_of_word_suffix');
  const unknownToken = optionalText(component, 'unk_token');
  const unknown = unknownToken === '' ? undefined : vocabulary.id(unknownToken);
  if (unknownToken !== '' && unknown === undefined) throw new Error(`its unk_token ${unknownToken} is not in the vocabulary`);
  const fuses = flag(component, 'fuse_unk', false);
  const fallsBack = flag(component, 'byte_fallback', false);
  const keepsWhole = flag(component, 'ignore_merges', false);
  const merges = readMerges(component, vocabulary, prefix.length);

  /** Returns the ids of a word's characters. */
  const characters = (word: string): number[] => {
    const ids: number[] = [];
    let pending: readonly number[] = [];
    const flush = (): void => {
      ids.push(...pending);
      pending = [];
    };
    const parts = Array.from(word);
    for (const [i, part] of parts.entries()) {
      const piece = `${i > 0 ? prefix : ''}${part}${i === parts.length - 1 ? suffix : ''}`;
      const id = vocabulary.id(piece);
      if (id !== undefined) {
        flush();
        ids.push(id);
        continue;
      }
      const bytes = fallsBack ? fallbackBytes(piece, vocabulary) : undefined;
      if (bytes !== undefined) ids.push(...bytes);
      else if (unknown !== undefined) {
        if (!fuses) flush();
        pending = [unknown];
      }
    }
    flush();
    return ids;
  };

  return word => {
    const whole = keepsWhole ? vocabulary.id(word) : undefined;
    if (whole !== undefined) return [whole];
    const ids = characters(word);
    return ids.length <= SHORT_WORD ? mergeShort(ids, merges) : mergeAll(ids, merges);
  };
}

function optionalText(component: Component, key: string): string {
  const value = component[key] ?? '';
  if (typeof value !== 'string') throw new Error(`its model has no text in ${key}`);
  return value;
}

/** The merge of each pair of ids; the last one if a pair is listed twice. */
function readMerges(component: Component, vocabulary: Vocabulary, prefixLength: number): Merges {
  const result = new Map<number, Merge>();
  for (const [rank, merge] of list(component, 'merges').entries()) {
    const pair: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = pair;
    if (pair.length !== 2 || typeof left !== 'string' || typeof right !== 'string')
      throw new Error(`its merge ${rank} is not a pair of tokens`);
    const [a, b, id] = [vocabulary.id(left), vocabulary.id(right), vocabulary.id(left + right.slice(prefixLength))];
    if (a === undefined || b === undefined || id === undefined) throw new Error(`its merge ${rank} is of tokens that its vocabulary lacks`);
    result.set(pairKey(a, b), { rank, id });
  }
  return new Merges(result);
}

/** A key for a pair: ids are below 2²⁴, so that it is a safe integer. */
const pairKey = (left: number, right: number): number => left * 0x1000000 + right;

/**
 * Merges in a hash table with open addressing: a lookup happens for every two characters of a new word, and a Map with such large keys is
 * slower.
 */
class Merges {
  private readonly mask: number;
  /** The ids of each pair, next to each other; −1 in a free slot. */
  private readonly pairs: Int32Array;
  private readonly merges: readonly Merge[];
  private readonly places: Int32Array;

  constructor(merges: ReadonlyMap<number, Merge>) {
    const size = 2 ** Math.ceil(Math.log2(2 * merges.size + 2));
    this.mask = size - 1;
    this.pairs = new Int32Array(2 * size).fill(-1);
    this.places = new Int32Array(size);
    this.merges = [...merges.values()];
    let at = 0;
    for (const key of merges.keys()) this.add(Math.floor(key / 0x1000000), key % 0x1000000, at++);
  }

  get(left: number, right: number): Merge | undefined {
    for (let place = hashOf(left, right) & this.mask; ; place = (place + 1) & this.mask) {
      const found = this.pairs[2 * place] as number;
      if (found < 0) return undefined;
      if (found === left && this.pairs[2 * place + 1] === right) return this.merges[this.places[place] as number];
    }
  }

  private add(left: number, right: number, at: number): void {
    let place = hashOf(left, right) & this.mask;
    while ((this.pairs[2 * place] as number) >= 0) place = (place + 1) & this.mask;
    this.pairs[2 * place] = left;
    this.pairs[2 * place + 1] = right;
    this.places[place] = at;
  }
}

/** Multiplication by odd constants spreads neighboring ids (Knuth, The Art of Computer Programming 3, 6.4). */
function hashOf(left: number, right: number): number {
  const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

/** Number of tokens up to which scanning all pairs is faster than a heap. */
const SHORT_WORD = 40;

/** Same as {@link mergeAll}, in quadratic time. */
function mergeShort(ids: number[], merges: Merges): readonly number[] {
  const mergeAt = (at: number) => merges.get(ids[at] as number, ids[at + 1] as number);
  const found: Array<Merge | undefined> = [];
  for (let at = 0; at + 1 < ids.length; at++) found.push(mergeAt(at));
  for (;;) {
    let best = -1;
    let merge: Merge | undefined;
    for (let at = 0; at < found.length; at++) {
      const offered = found[at];
      if (offered !== undefined && (merge === undefined || offered.rank < merge.rank)) [best, merge] = [at, offered];
    }
    if (merge === undefined) return ids;
    ids[best] = merge.id;
    ids.splice(best + 1, 1);
    found.splice(best, 1);
    if (best > 0) found[best - 1] = mergeAt(best - 1);
    if (best < found.length) found[best] = mergeAt(best);
  }
}

/**
 * Merges the pair with the lowest rank, the leftmost among equals, until none is left. Uses a heap of the pairs found so far; a pair whose
 * tokens have changed counts only if its merge is still the same.
 */
function mergeAll(ids: number[], merges: Merges): readonly number[] {
  if (ids.length < 2) return ids;
  const next = ids.map((_, i) => (i + 1 < ids.length ? i + 1 : -1));
  const before = ids.map((_, i) => i - 1);
  const gone = new Uint8Array(ids.length);
  const heap = new PairHeap();
  const offer = (at: number): void => {
    const right = next[at] as number;
    const merge = right < 0 ? undefined : merges.get(ids[at] as number, ids[right] as number);
    if (merge !== undefined) heap.push(merge.rank, at, merge.id);
  };
  for (let at = 0; at + 1 < ids.length; at++) offer(at);
  while (heap.size > 0) {
    const { at, id } = heap.pop();
    const right = next[at] as number;
    if (gone[at] === 1 || right < 0) continue;
    if (merges.get(ids[at] as number, ids[right] as number)?.id !== id) continue;
    ids[at] = id;
    gone[right] = 1;
    const after = next[right] as number;
    next[at] = after;
    if (after >= 0) before[after] = at;
    if ((before[at] as number) >= 0) offer(before[at] as number);
    offer(at);
  }
  return ids.filter((_, i) => gone[i] === 0);
}

/** A binary heap ordered by rank, then by position. */
class PairHeap {
  private readonly ranks: number[] = [];
  private readonly places: number[] = [];
  private readonly ids: number[] = [];

  get size(): number {
    return this.ranks.length;
  }

  push(rank: number, at: number, id: number): void {
    let i = this.ranks.length;
    this.ranks.push(rank);
    this.places.push(at);
    this.ids.push(id);
    for (let parent = (i - 1) >> 1; i > 0 && this.less(i, parent); i = parent, parent = (i - 1) >> 1) this.swap(i, parent);
  }

  pop(): { readonly at: number; readonly id: number } {
    const top = { at: this.places[0] as number, id: this.ids[0] as number };
    this.swap(0, this.ranks.length - 1);
    this.ranks.pop();
    this.places.pop();
    this.ids.pop();
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= this.ranks.length) return top;
      const least = left + 1 < this.ranks.length && this.less(left + 1, left) ? left + 1 : left;
      if (!this.less(least, i)) return top;
      this.swap(i, least);
      i = least;
    }
  }

  private less(a: number, b: number): boolean {
    const [x, y] = [this.ranks[a] as number, this.ranks[b] as number];
    return x === y ? (this.places[a] as number) < (this.places[b] as number) : x < y;
  }

  private swap(a: number, b: number): void {
    for (const values of [this.ranks, this.places, this.ids]) {
      const kept = values[a] as number;
      values[a] = values[b] as number;
      values[b] = kept;
    }
  }
}
