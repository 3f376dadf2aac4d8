/** ROUGE-L (Lin 2004) of two texts, with words as in Google's package rouge-score 0.1.2 without its stemmer. */

/** Lowercase words, separated by anything that is not a–z or 0–9. */
const wordsOf = (text: string): readonly string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

/** The F-measure of precision and recall from the longest common subsequence of words; 0 if a text has no words. */
export function rougeL(reference: string, answer: string): number {
  const [expected, given] = [wordsOf(reference), wordsOf(answer)];
  const common = longestCommon(expected, given);
  if (common === 0) return 0;
  const [precision, recall] = [common / given.length, common / expected.length];
  return (2 * precision * recall) / (precision + recall);
}

/** The length of the longest common subsequence, one row of the table at a time. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let above = new Int32Array(b.length + 1);
  for (const word of a) {
    const row = new Int32Array(b.length + 1);
    for (const [i, other] of b.entries())
      row[i + 1] = word === other ? (above[i] as number) + 1 : Math.max(above[i + 1] as number, row[i] as number);
    above = row;
  }
  return above[b.length] ?? 0;
}
