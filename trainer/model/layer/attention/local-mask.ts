/** Local attention of an encoder: a token attends to tokens within a distance, in both directions. */
import type { Tracer } from '../../tracer.ts';
import { counting } from '../counting.ts';
import { type AttentionMask, HIDDEN } from './attention.ts';

/**
 * Hides the keys that are further away than `distance`, if the text is long enough to have any.
 * @param mask which keys are real tokens
 */
export function withinDistance(
  { graph, longest }: Tracer,
  mask: AttentionMask & { kind: 'bias' },
  tokens: number,
  distance: number,
): AttentionMask {
  if (longest !== undefined) {
    // Computed from positions: a table for the longest text would need the square of its length.
    const positions = graph.cast(counting(graph, 0, tokens), 'float32');
    const apart = graph.abs(graph.sub(graph.reshape(positions, [1, tokens, 1]), graph.reshape(positions, [1, 1, tokens])));
    const far = graph.cast(graph.less(graph.scalar(distance), apart), 'float32');
    return { ...mask, bias: graph.add(mask.bias, graph.mul(far, HIDDEN)) };
  }
  if (tokens - 1 <= distance) return mask;
  const far = graph.lazyConstant([1, tokens, tokens], () => {
    const bias = new Float32Array(tokens * tokens);
    for (let query = 0; query < tokens; query++)
      for (let key = 0; key < tokens; key++) if (Math.abs(query - key) > distance) bias[query * tokens + key] = HIDDEN;
    return bias;
  });
  return { ...mask, bias: graph.add(mask.bias, far) };
}
