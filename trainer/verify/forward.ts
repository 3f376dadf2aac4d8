/** A traced forward pass. */
import type { BackwardParams } from '../graph/gradient.ts';
import type { Graph, Node } from '../graph/graph.ts';

/** A traced forward pass, and the node from which its backward pass starts. */
export interface Forward {
  readonly graph: Graph;
  readonly logits: Node;
  readonly loss: Node;
  readonly seeds: BackwardParams['seeds'];
  /** New values of running statistics, by name. */
  readonly buffers?: ReadonlyMap<string, Node>;
}
