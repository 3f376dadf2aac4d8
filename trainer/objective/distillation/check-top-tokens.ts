/** Checks a teacher's most likely tokens against their samples, piece by piece. */
import { DataError } from '../../data/data-error.ts';
import type { Examples } from '../../data/tokens/example-store.ts';
import type { TopTokens } from './top-tokens.ts';

export interface CheckParams {
  readonly path: string;
  readonly examples: Examples;
  readonly topK: number;
  readonly vocabulary: number;
  readonly read: (first: number, count: number) => Promise<TopTokens>;
  /** Reads the trained tokens stored in the file. */
  readonly targets: (first: number, count: number) => Promise<Int32Array>;
  readonly positions: number;
  /** Number of positions that are read at once. */
  readonly piece: number;
}

/** Maximum sum of probabilities, allowing for rounding. */
const MAX_SUM = 1 + 1e-3;

interface Piece extends TopTokens {
  readonly first: number;
  readonly targets: Int32Array;
}

/** @throws DataError with the first wrong position, its sample, and the expected value */
export async function checkTopTokens(params: CheckParams): Promise<void> {
  const { examples, topK } = params;
  const seen = new Int32Array(params.vocabulary).fill(-1);
  let place = 0;
  let piece: Piece = { first: 0, targets: new Int32Array(0), ids: new Int32Array(0), logs: new Float32Array(0) };
  let sample = -1;
  for (const example of examples) {
    sample++;
    for (const [at, id] of example.ids.entries()) {
      if (example.train[at] !== 1) continue;
      if (place >= piece.first + piece.targets.length) piece = await nextPiece(params, place);
      const row = place - piece.first;
      const own = { ids: piece.ids.subarray(row * topK, (row + 1) * topK), logs: piece.logs.subarray(row * topK, (row + 1) * topK) };
      const problem =
        piece.targets[row] === id
          ? problemOf(own, { seen, place })
          : { problem: `is for the target ${piece.targets[row]}, but the data has ${id} there`, advice: 'Compute it again from this data' };
      if (problem)
        throw new DataError({
          file: params.path,
          problem: `position ${place} (token ${at} of sample ${sample}, ${example.file}:${example.line}) ${problem.problem}`,
          advice: problem.advice,
        });
      place++;
    }
  }
}

async function nextPiece({ read, targets, piece, positions }: CheckParams, first: number): Promise<Piece> {
  const count = Math.min(piece, positions - first);
  const [found, ids] = await Promise.all([read(first, count), targets(first, count)]);
  return { ...found, first, targets: ids };
}

/** @param seen the last position where each token was found */
function problemOf({ ids, logs }: TopTokens, { seen, place }: { readonly seen: Int32Array; readonly place: number }) {
  const again = 'The file is damaged, or is for another model: compute it again';
  let [before, sum] = [0, 0];
  for (const [i, id] of ids.entries()) {
    const log = logs[i] as number;
    if (!(id >= 0 && id < seen.length)) return { problem: `has token ${id}, expected 0 to ${seen.length - 1}`, advice: again };
    if (seen[id] === place) return { problem: `has token ${id} twice`, advice: again };
    if (!(log <= before + 1e-6)) {
      const problem = `has the log-probability ${log} for token ${id}, expected a number of at most ${before}, since the likeliest come first`;
      return { problem, advice: again };
    }
    seen[id] = place;
    before = Math.min(before, log);
    sum += Math.exp(log);
  }
  if (sum > MAX_SUM)
    return { problem: `has probabilities that add up to ${sum}, expected at most 1`, advice: 'Write log-probabilities, not logits' };
  return undefined;
}
