/**
 * The thresholds that decide what is fused, each with its reason. A plan is correct with any values; they trade planning time, memory and
 * speed.
 */
export const FUSION_THRESHOLDS = {
  /** A value that is read again within this many nodes may stay in memory until then in two element types. */
  soonNodes: 32,
  /** Attempts to build one program: each attempt reads one more node instead of computing it. */
  buildAttempts: 24,
  /** Smaller tensors fit in the cache, so sharing a read saves no pass over memory. */
  sharedReadBytes: 256,
  /** Two slices that each read less than this fraction of a tensor are treated as disjoint. */
  disjointPart: 1 / 8,
  /** An operand of at most this fraction of the result, such as a bias, costs almost nothing to read again. */
  lightOperand: 1 / 64,
  /** Nodes examined behind one that might be recomputed; if there are more, the node is read. */
  recomputedNodes: 256,
  /** Number of planned steps that a node tries to join although it is not an input of any of them. */
  neighborSteps: 4,
} as const;
