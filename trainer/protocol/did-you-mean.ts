/** The nearest known word to a misspelled one. */
import { distance } from 'fastest-levenshtein';

/** Longer text is no misspelled word, and the distance costs the product of both lengths. */
const MAX_WORD = 64;
/** What is longer differs too much from any word. */
const MAX_CANDIDATE = 2 * MAX_WORD;

/** Case, hyphens and underscores are style, not spelling. */
const plain = (word: string): string => word.toLowerCase().replace(/[-_\s]/g, '');

/** The candidate that `word` was most likely meant to be, or nothing when none is near: up to two in five of its letters may differ, since swapping two counts twice. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_WORD) return undefined;
  const wanted = plain(word);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    if (candidate.length > MAX_CANDIDATE) continue;
    const found = plain(candidate);
    const gap = distance(wanted, found);
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, found.length) * 0.4));
    if (gap <= allowed && gap < Math.min(bestDistance, Math.max(1, wanted.length))) {
      best = candidate;
      bestDistance = gap;
    }
  }
  return best;
}
