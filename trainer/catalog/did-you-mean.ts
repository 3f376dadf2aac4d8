/** The known word that is nearest to a misspelled one. */
import { distance } from 'fastest-levenshtein';

/** Longer text is not a misspelled word, and the distance costs the product of both lengths. */
const MAX_WORD = 64;
/** Longer words differ too much from any candidate. */
const MAX_CANDIDATE = 2 * MAX_WORD;

/** Case, hyphens and underscores are style, not spelling. */
const plain = (word: string): string => word.toLowerCase().replace(/[-_\s]/g, '');

/**
 * The candidate that `word` most likely meant, if one is near: up to two in five letters may differ, because a swap
 * counts twice.
 */
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
