/** The numbers that decide what is fused, each with its reason. A plan is correct with any of them; they trade planning time, memory and speed. */
export const FUSION_THRESHOLDS = {
  /** A value that is read again within this many nodes may wait for that in two element types. */
  soonNodes: 32,
  /** Builds of one program: each attempt reads one more node instead of computing it. */
  buildAttempts: 24,
  /** Smaller tensors fit in the cache, so sharing a read of one saves no pass over memory. */
  sharedReadBytes: 256,
  /** Two slices that each read less than this fraction of a tensor are treated as disjoint. */
  disjointPart: 1 / 8,
  /** An operand of at most this fraction of the result, such as a bias, costs next to nothing to read again. */
  lightOperand: 1 / 64,
  /** Nodes looked at behind one that might be computed again; beyond them it is read. */
  recomputedNodes: 256,
  /** Earlier planned steps that a node which feeds none of them is tried with. */
  neighborSteps: 4,
} as const;
