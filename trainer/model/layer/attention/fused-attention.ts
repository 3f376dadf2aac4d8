/** Softmax attention as one kernel of the device, for the forms that such kernels support. */
import type { Graph, Node } from '../../../graph/graph.ts';
import type { AttentionParams } from './attention-params.ts';

/** The visible keys of a query, in a kernel's terms. */
export interface FusedForm {
  readonly causal: boolean;
  readonly window?: number;
  /** [batch, tokens], 1 for real tokens, 0 for padding. */
  readonly seen?: Node;
}

/** cuDNN's limits for the forward and the backward pass. */
const WIDTH_STEP = 8;
const MAX_WIDTH = 256;

/**
 * Returns undefined if kernels do not support the form: float32 products, dropout, a soft cap, sinks, scores of relative positions, a
 * cache, packed samples, or a head width outside the limits above.
 */
export function fusedFormOf({ q, k, v, mask, cap, scores, sinks, dropMask, compute }: AttentionParams): FusedForm | undefined {
  const [width, values, tokens] = [q.shape[3] as number, v.shape[3] as number, q.shape[2] as number];
  const isPlain = cap === undefined && !scores && !sinks && !dropMask;
  if (!isPlain || compute !== 'bfloat16' || width % WIDTH_STEP || width > MAX_WIDTH || values > width || tokens !== k.shape[2])
    return undefined;
  if (mask.kind !== 'bias') return { causal: mask.kind === 'causal' };
  const { meaning, bias, causal } = mask;
  if (meaning?.of !== bias) return undefined;
  if ('window' in meaning) return causal ? { causal, window: meaning.window } : undefined;
  return { causal, seen: meaning.seen };
}

/** @returns [batch, heads, queries, valueDim], float32 */
export function fusedAttention(graph: Graph, { q, k, v, scale, compute = 'float32' }: AttentionParams, form: FusedForm): Node {
  const { causal, window, seen } = form;
  const factor = (x: Node) => graph.cast(x, compute);
  // All layers share the lengths, so they belong to no block and are kept for the backward pass.
  const lengths = seen && graph.within({ block: -1 }, () => graph.cast(graph.sum(seen, [1]), 'int32'));
  const scores = { scale, causal, ...(window !== undefined && { window }) };
  // Kernels take one width for queries, keys and values: narrower values are padded with zeros, whose outputs are zeros.
  const [width, values] = [q.shape[3] as number, v.shape[3] as number];
  const wide = values === width ? v : graph.pad(v, [0, 0, 0, 0], [0, 0, 0, width - values]);
  const out = graph.cast(graph.fusedAttention(factor(q), factor(k), factor(wide), scores, lengths), 'float32');
  return values === width ? out : graph.sliceAxis(out, -1, 0, values);
}
