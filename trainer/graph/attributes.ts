/** The attributes of every graph operation: the single list of operations, which the tables of rules and kernels must cover. */
import type { SumType } from './sum-forms.ts';
import type { DType, HostArray, Shape } from './types.ts';

export type None = Record<never, never>;

export interface Reduction {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

/** Geometry of a 2-D convolution or pooling over `[batch, height, width, channels]`; padding is explicit. */
export interface Window2d {
  readonly strides: readonly [number, number];
  readonly padding: readonly [top: number, bottom: number, left: number, right: number];
  readonly dilations: readonly [number, number];
}

export interface Pool2d extends Window2d {
  readonly size: readonly [number, number];
}

/** Decay rates of Adam; values that change from step to step are inputs. */
export interface AdamRates {
  readonly beta1: number;
  readonly beta2: number;
}

/**
 * Attention scores: their scale, and the keys that a query attends to. `causal` limits them to keys up to the query's own; `window`, to the
 * last `window` of those.
 */
export interface AttentionScores {
  readonly scale: number;
  readonly causal: boolean;
  readonly window?: number;
}

export interface OpAttributes {
  // sources
  feed: { readonly name: string; readonly spec: { readonly shape: Shape; readonly dtype: DType } };
  constant: { readonly value: HostArray; readonly shape: Shape; readonly dtype: DType };
  /**
   * The value of a variable at this point of the schedule (an alias of its buffer, not a copy). `version` distinguishes reads before and
   * after a write.
   */
  read: { readonly variable: string; readonly shape: Shape; readonly dtype: DType; readonly version: number };
  /**
   * A bool mask, each element true with probability ones / 65536; `seed` is an int32[2] input, so the same seed always gives the same mask.
   * `skip` makes it the part of a larger mask that starts after `skip` elements; `parts` gives each of that many devices its own part of
   * one mask.
   */
  randomMask: { readonly shape: Shape; readonly ones: number; readonly skip?: number; readonly parts?: number };
  // elementwise
  neg: None;
  abs: None;
  sign: None;
  floor: None;
  exp: None;
  log: None;
  sqrt: None;
  rsqrt: None;
  square: None;
  reciprocal: None;
  tanh: None;
  sigmoid: None;
  erf: None;
  relu: None;
  sin: None;
  cos: None;
  cast: { readonly dtype: DType };
  add: None;
  sub: None;
  mul: None;
  div: None;
  maximum: None;
  minimum: None;
  equal: None;
  less: None;
  greaterEqual: None;
  logicalAnd: None;
  select: None;
  /** dy · y · (1 − y): the gradient of the sigmoid from its output. */
  sigmoidGrad: None;
  // reductions
  sum: Reduction;
  max: Reduction;
  argmax: { readonly axis: number };
  softmax: None;
  // shape
  reshape: { readonly shape: Shape };
  transpose: { readonly perm: readonly number[] };
  slice: { readonly begin: readonly number[]; readonly size: readonly number[] };
  pad: { readonly before: readonly number[]; readonly after: readonly number[]; readonly value: number };
  concat: { readonly axis: number };
  broadcast: { readonly shape: Shape };
  // indexing
  gather: { readonly axis: number; readonly padding?: number };
  /**
   * Sums the rows of `data` [n, …] that share an id, into [count, …]. Ids below 0 are dropped. `distinct` promises that at most one of the
   * rows that share an id is nonzero, so their order does not change the sum.
   */
  segmentSum: { readonly count: number; readonly distinct?: true };
  oneHot: { readonly depth: number };
  // products
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean };
  /**
   * One product per assignment of a row to an expert: assignment t multiplies row ⌊t · m / n⌋ of x [m, in] by the matrix of its expert,
   * whose index is an entry of int32 [n]; n is a multiple of m. The matrices are stacked, [experts · out, in]. The result is y [n, out];
   * with `transposed`, the product is with Wᵀ, from [m, out] to [n, in].
   */
  expertProduct: { readonly experts: number; readonly transposed: boolean };
  /**
   * Σ a_t ⊗ b_t over the assignments t of each expert, [experts · out, in], from a [.., out] and b [.., in], whose rows are assigned like
   * those of x in `expertProduct`, and int32 [n]. A fourth input, int32 [r], selects rows of the result: [r, in].
   */
  expertGradient: { readonly experts: number };
  /**
   * Softmax attention that a library of the device computes as one kernel: q [batch, heads, tokens, headDim], k and v [batch, kvHeads,
   * tokens, headDim], and, if samples are padded, int32 [batch] with the number of keys of each sample. `output` has the shape of q.
   * `logSum` is the logarithm of the sum of the exponentials of each query's scores, float32 [batch, heads, tokens, 1]; the gradient reads
   * it.
   */
  attention: AttentionScores & { readonly of: 'output' | 'logSum' };
  /**
   * The gradient of attention with respect to one of q, k and v. Inputs: q, k, v, `logSum`, `output`, the gradient of the output, and the
   * number of keys of each sample.
   */
  attentionGradient: AttentionScores & { readonly toward: 'q' | 'k' | 'v' };
  /** Convolution of x [batch, h, w, in] with a filter [out, in / groups, kh, kw]. */
  conv2d: Window2d & { readonly groups: number };
  conv2dInputGrad: Window2d & { readonly groups: number; readonly inputShape: Shape };
  conv2dFilterGrad: Window2d & { readonly groups: number; readonly filterShape: Shape };
  maxPool2d: Pool2d;
  maxPool2dGrad: Pool2d;
  // effects on variables; each returns a scalar token
  assign: { readonly variable: string };
  assignAdd: { readonly variable: string };
  /** Writes `values` [r, …] to the rows `rows` [r] of a variable, in place. */
  updateRows: { readonly variable: string };
  /** Writes `values` [k] to the elements `indices` [k] of a variable, counted in flat order, in place. */
  updateElements: { readonly variable: string };
  /** Writes `values` [rows, c] to the columns `columns` [c] of a matrix that is `width` wide, in place. */
  updateColumns: { readonly variable: string; readonly width: number };
  /** One step of Adam on a whole variable and its two moments, in place (Kingma & Ba 2015, algorithm 1). */
  adam: AdamRates & { readonly variable: string; readonly m: string; readonly v: string };
  /** A scalar token that is available once all inputs have run. */
  group: None;
  // sums over the processes of a run
  /**
   * Starts summing a tensor over all processes; its elements travel as `as`. Only `endSum` may read it: until then its content is
   * undefined.
   */
  beginSum: {
    readonly as: SumType;
    /** Name of the rounding error that is carried to the next sum, if the format keeps it. */
    readonly residual: string;
  };
  /** Waits for the sum over all processes that `beginSum` started. */
  endSum: None;
}

export type OpName = keyof OpAttributes;
