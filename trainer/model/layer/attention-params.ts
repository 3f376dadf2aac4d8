/** The inputs of attention, and which keys a query may see. */
import type { Node } from '../../graph/graph.ts';
import type { ComputeType } from '../weight-storage.ts';

/** The meaning of a bias, for kernels that take none. `of` is that bias: one that was changed since is not mistaken for it. */
export type BiasMeaning =
  /** A query sees the last `window` keys up to itself. */
  | { readonly of: Node; readonly window: number }
  /** [batch, tokens], 1 where there is a token: all are at the start. */
  | { readonly of: Node; readonly seen: Node };

/** Which keys a query may see. */
export type AttentionMask =
  | { readonly kind: 'all' }
  | { readonly kind: 'causal' }
  /**
   * Added to the scores, [batch, queries, keys] or, the same for all queries, [batch, 1, keys] (0 where seen, very negative where not);
   * `causal`: keys after the query are never seen, whatever the bias says.
   */
  | { readonly kind: 'bias'; readonly bias: Node; readonly causal: boolean; readonly meaning?: BiasMeaning };

export interface AttentionParams {
  /** [batch, heads, queries, headDim]; heads is a multiple of the key-value heads, and neighbors share one. */
  readonly q: Node;
  /** [batch, kvHeads, keys, headDim]. */
  readonly k: Node;
  /** [batch, kvHeads, keys, valueDim]. */
  readonly v: Node;
  readonly scale: number;
  /** Soft cap: a score s becomes cap · tanh(s / cap) before keys are hidden (Gemma 2). */
  readonly cap?: number;
  readonly mask: AttentionMask;
  /** Queries a chunk; a causal chunk sees only the keys up to its end. */
  readonly chunk: number;
  /** Added to the scaled scores, [batch, heads, queries, keys]: what positions say to each other. The gradient flows through it. */
  readonly scores?: Node;
  /** A score of each head that every query sees in addition to those of keys, [heads]; it takes its share of the probabilities and gives nothing (gpt-oss). */
  readonly sinks?: Node;
  /** Gives a mask that the probabilities are multiplied by (dropout). */
  readonly dropMask?: (shape: readonly number[]) => Node;
  /** The element type of products, float32 if not given; all else is float32. */
  readonly compute?: ComputeType;
  /** One kernel of the device computes it, where that has the form; chunks do if not given. */
  readonly fused?: boolean;
}
