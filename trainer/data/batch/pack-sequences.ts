/** Fits sequences into rows of one length, and cuts documents into sequences that fit. */
import { createRandom, permutation } from '../../random.ts';
import type { TokenSequence } from '../types.ts';

/**
 * First-fit decreasing: the longest sequence first, each into the first row with room for it. Rows need at most 11/9 of the best
 * possible number (Johnson, 1973). Equal lengths are drawn in an order of the seed, so that neighbors in the file part.
 * Returns the sequence numbers of each row. Every length must be at most `rowLength`.
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

/** Next-fit: each sequence goes into the last row where there is room for it, else into a new one, so that rows keep the order of the sequences. */
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

/** The room left in each row, as a tree of maxima: the first row with enough of it is found in logarithmic time. */
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
 * Consecutive parts of at most `maxLength` tokens. Each part begins with the last token of the part before it, as context only:
 * so every token of the document is a target exactly as often as in the whole, once.
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
