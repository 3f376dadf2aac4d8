/** The inputs of attention, and which keys a query may see. */
import type { Node } from '../../../graph/graph.ts';
import type { ComputeType } from '../../weight-storage.ts';

/**
 * The meaning of a bias, for kernels that take none. `of` is the bias described: if the mask holds another node, the meaning does not apply.
 */
export type BiasMeaning =
  /** A query attends to the last `window` keys, its own position included. */
  | { readonly of: Node; readonly window: number }
  /** [batch, tokens], 1 for real tokens, 0 for padding. All real tokens come first. */
  | { readonly of: Node; readonly seen: Node };

/** Which keys a query may attend to. */
export type AttentionMask =
  | { readonly kind: 'all' }
  | { readonly kind: 'causal' }
  /**
   * Added to the scores: [batch, queries, keys], or [batch, 1, keys] if it is the same for all queries (0 where visible, very negative
   * where hidden). `causal`: keys after the query are always hidden, whatever the bias says.
   */
  | { readonly kind: 'bias'; readonly bias: Node; readonly causal: boolean; readonly meaning?: BiasMeaning };

export interface AttentionParams {
  /** [batch, heads, queries, headDim]. The number of heads is a multiple of kvHeads; neighboring heads share one key-value head. */
  readonly q: Node;
  /** [batch, kvHeads, keys, headDim]. */
  readonly k: Node;
  /** [batch, kvHeads, keys, valueDim]. */
  readonly v: Node;
  readonly scale: number;
  /** Soft cap: a score s becomes cap · tanh(s / cap) before keys are hidden (Gemma 2). */
  readonly cap?: number;
  readonly mask: AttentionMask;
  /** Queries per chunk; a causal chunk reads only the keys up to its end. */
  readonly chunk: number;
  /**
   * Added to the scaled scores, [batch, heads, queries, keys], or [1, heads, queries, keys] if it is the same for all samples: the scores of
   * relative positions. Gradients flow through it.
   */
  readonly scores?: Node;
  /**
   * One extra score per head, [heads], next to the scores of the keys: it takes a share of the probabilities and adds no value (gpt-oss).
   */
  readonly sinks?: Node;
  /** Returns a mask that the probabilities are multiplied by (dropout). */
  readonly dropMask?: (shape: readonly number[]) => Node;
  /** The element type of matrix products, float32 by default; everything else is float32. */
  readonly compute?: ComputeType;
  /** Use one fused kernel of the device if it supports this form. By default, attention runs in chunks. */
  readonly fused?: boolean;
}
