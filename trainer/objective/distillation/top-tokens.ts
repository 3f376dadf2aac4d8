/** The most likely tokens of a next-token distribution. */

/** Several positions with `k` tokens each, most likely first. */
export interface TopTokens {
  /** [positions · k]. */
  readonly ids: Int32Array;
  /** Their log-probabilities, [positions · k]. */
  readonly logs: Float32Array;
}

/**
 * Finds the tokens of one position; among equals, the smaller id comes first. Scans all logits once, since few of a large vocabulary are
 * among the top k.
 * @param logits [vocabulary], at least k
 * @param logSum log Σ exp(logits)
 * @param place index of the position in `into`
 */
export function findTopTokens(logits: Float32Array, logSum: number, k: number, { into, place }: { into: TopTokens; place: number }): void {
  const [first, end] = [place * k, (place + 1) * k];
  const { ids, logs } = into;
  let held = first;
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (held === end && !(logit > least)) continue;
    let at = held < end ? held++ : end - 1;
    for (; at > first && (logs[at - 1] as number) < logit; at--) {
      logs[at] = logs[at - 1] as number;
      ids[at] = ids[at - 1] as number;
    }
    logs[at] = logit;
    ids[at] = id;
    if (held === end) least = logs[end - 1] as number;
  }
  for (let at = first; at < end; at++) logs[at] = (logs[at] as number) - logSum;
}
