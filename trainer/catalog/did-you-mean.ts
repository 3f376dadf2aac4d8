/** Finds the known word that is most similar to a misspelled one. */
import { distance } from 'fastest-levenshtein';

/** Maximum length of a misspelled word; computing the distance takes time proportional to the product of both lengths. */
const MAX_WORD = 64;
/** Maximum length of a candidate; a longer one differs too much from any word. */
const MAX_CANDIDATE = 2 * MAX_WORD;

/** The word without style: case, hyphens and underscores are not spelling. */
const plain = (word: string): string => word.toLowerCase().replace(/[-_\s]/g, '');

/** The candidate that `word` most likely meant, if one is similar: up to two in five letters may differ, because a swap counts as two. */
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
