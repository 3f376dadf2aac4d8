/** Local attention of an encoder: a token sees those up to a distance, before it and behind it. */
import type { Graph } from '../../graph/graph.ts';
import { type AttentionMask, HIDDEN } from './attention.ts';

/**
 * Hides the keys that lie further away than `distance`, where there are any.
 * @param mask which keys are there
 */
export function withinDistance(graph: Graph, mask: AttentionMask & { kind: 'bias' }, tokens: number, distance: number): AttentionMask {
  if (tokens - 1 <= distance) return mask;
  const far = graph.lazyConstant([1, tokens, tokens], () => {
    const bias = new Float32Array(tokens * tokens);
    for (let query = 0; query < tokens; query++)
      for (let key = 0; key < tokens; key++) if (Math.abs(query - key) > distance) bias[query * tokens + key] = HIDDEN;
    return bias;
  });
  return { ...mask, bias: graph.add(mask.bias, far) };
}
