/** Packs sequences into rows of one length, and cuts documents into sequences that fit. */
import { createRandom, permutation } from '../../random.ts';
import type { TokenSequence } from '../types.ts';

/**
 * Packs by first-fit decreasing: the longest sequence first, each into the first row with room for it. Needs at most 11/9 of the minimum
 * number of rows (Johnson, 1973). Sequences of equal length are placed in an order drawn from the seed, which separates neighbors in the
 * file. Returns the sequence numbers of each row. Every length must be at most `rowLength`.
 */
export function packSequences(lengths: readonly number[], rowLength: number, seed: number): number[][] {
  const order = [...permutation(lengths.length, createRandom(seed, 1))].sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
  const rooms = createRooms(lengths.length, rowLength);
  const rows: number[][] = [];
  for (const sequence of order) {
    const row = rooms.take(lengths[sequence] ?? 0);
    const packed = rows[row] ?? [];
    packed.push(sequence);
    rows[row] = packed;
  }
  return rows;
}

/**
 * Packs by next-fit: each sequence goes into the last row if it has room, otherwise into a new one, so rows keep the order of the
 * sequences.
 */
export function packInOrder(lengths: readonly number[], rowLength: number): number[][] {
  const rows: number[][] = [];
  let room = 0;
  for (const [sequence, length] of lengths.entries()) {
    const last = rows.at(-1);
    if (last === undefined || length > room) {
      rows.push([sequence]);
      room = rowLength - length;
    } else {
      last.push(sequence);
      room -= length;
    }
  }
  return rows;
}

/** The remaining room of each row, as a tree of maxima: finds the first row with enough room in logarithmic time. */
function createRooms(rows: number, rowLength: number): { take(length: number): number } {
  const leaves = 2 ** Math.ceil(Math.log2(Math.max(rows, 1)));
  const most = new Int32Array(2 * leaves).fill(rowLength);
  return {
    take(length) {
      let node = 1;
      while (node < leaves) node = (most[2 * node] ?? 0) >= length ? 2 * node : 2 * node + 1;
      most[node] = (most[node] ?? 0) - length;
      const row = node - leaves;
      for (node >>= 1; node >= 1; node >>= 1) most[node] = Math.max(most[2 * node] ?? 0, most[2 * node + 1] ?? 0);
      return row;
    },
  };
}

/**
 * Cuts a document into consecutive parts of at most `maxLength` tokens. Each part begins with the last token of the previous part, as
 * context only, so every token of the document is a target exactly once, as in the uncut document.
 */
export function chunkSequence(sequence: TokenSequence, maxLength: number): TokenSequence[] {
  const { ids, train } = sequence;
  if (ids.length <= maxLength) return [sequence];
  const chunks: TokenSequence[] = [];
  for (let start = 0; start < ids.length - 1; start += maxLength - 1) {
    const chunk = { ids: ids.slice(start, start + maxLength), train: train.slice(start, start + maxLength) };
    chunk.train[0] = 0;
    chunks.push(chunk);
  }
  return chunks;
}
