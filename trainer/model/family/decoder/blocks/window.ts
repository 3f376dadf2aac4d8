/** Sliding windows of a decoder: in some blocks a query attends only to the last keys, including its own position. */
import type { Graph, Node } from '../../../../graph/graph.ts';
import { dimensions } from '../../../../graph/types.ts';
import { type AttentionMask, HIDDEN } from '../../../layer/attention/attention.ts';
import type { TokenInputs } from '../../../model-spec.ts';

/** Hides the keys outside the window, if a sequence (or its cache) is long enough to have any. */
export function withWindow(
  graph: Graph,
  { mask, positions, cache }: Pick<TokenInputs, 'mask' | 'positions' | 'cache'>,
  tokens: number,
  window: number | undefined,
): AttentionMask {
  if (window === undefined || mask.kind === 'all') return mask;
  if (cache && positions && mask.kind === 'bias') return withCachedWindow(graph, mask, positions, window);
  if (tokens <= window) return mask;
  const far = new Float32Array(tokens * tokens);
  for (let i = window; i < tokens; i++) far.fill(HIDDEN, i * tokens, i * tokens + i - window + 1);
  const bias = graph.constant(far, [1, tokens, tokens], 'float32');
  if (mask.kind === 'bias') return { kind: 'bias', bias: graph.add(mask.bias, bias), causal: mask.causal };
  return { kind: 'bias', bias, causal: true, meaning: { of: bias, window } };
}

/** Hides keys in a cache, where key j is the token at position j. */
function withCachedWindow(graph: Graph, mask: AttentionMask & { kind: 'bias' }, positions: Node, window: number): AttentionMask {
  const [batch, tokens, keys] = dimensions(mask.bias.shape, 3);
  if (keys <= window) return mask;
  const keyPositions = graph.counting([1, 1, keys]);
  const isNear = graph.less(graph.sub(graph.reshape(positions, [batch, tokens, 1]), keyPositions), window);
  return { ...mask, bias: graph.add(mask.bias, graph.select(isNear, graph.scalar(0), graph.scalar(HIDDEN))) };
}
