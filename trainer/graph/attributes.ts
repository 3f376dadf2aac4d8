/** The attributes of every graph operation: the one list of operations that the tables of rules and kernels must complete. */
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

/** Decay rates of Adam; what changes from step to step comes in as inputs. */
export interface AdamRates {
  readonly beta1: number;
  readonly beta2: number;
}

/** The scores of fused attention: their factor, and which keys a query sees: those up to itself if `causal`, and of these the last `window`. */
export interface AttentionScores {
  readonly scale: number;
  readonly causal: boolean;
  readonly window?: number;
}

export interface OpAttributes {
  // sources
  feed: { readonly name: string; readonly spec: { readonly shape: Shape; readonly dtype: DType } };
  constant: { readonly value: HostArray; readonly shape: Shape; readonly dtype: DType };
  /** The value of a variable at this place in the schedule (an alias of its buffer, not a copy). `version` tells apart reads before and after a write. */
  read: { readonly variable: string; readonly shape: Shape; readonly dtype: DType; readonly version: number };
  /**
   * bool, each true with probability ones / 65536; `seed` is an int32[2] input, so that the same seed gives the same mask again. With `skip`, it is the part
   * of a larger mask that begins after so many elements; with `parts`, each of so many devices has its own part of one.
   */
  randomMask: { readonly shape: Shape; readonly ones: number; readonly skip?: number; readonly parts?: number };
  // element by element
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
   * Sums the rows of `data` [n, …] that share an id: [count, …]. Ids below 0 are dropped.
   * `distinct`: of the rows that share an id, at most one is not zero, so their order does not change the sum.
   */
  segmentSum: { readonly count: number; readonly distinct?: true };
  oneHot: { readonly depth: number };
  // products
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean };
  /**
   * One product per assignment of a row to an expert: assignment t multiplies row ⌊t · m / n⌋ of x [m, in] by the matrix of its expert, an entry of
   * int32 [n] with n a multiple of m. The matrices lie one below the other, [experts · out, in]. y [n, out]; `transposed`: by Wᵀ, from [m, out] to [n, in].
   */
  expertProduct: { readonly experts: number; readonly transposed: boolean };
  /**
   * Σ a_t ⊗ b_t over the assignments t of each expert, [experts · out, in], from a [.., out] and b [.., in], whose rows are read as those of x above,
   * and int32 [n]. With a fourth input, int32 [r], only these rows of the result, [r, in].
   */
  expertGradient: { readonly experts: number };
  /**
   * Softmax attention that a library of the device computes as one kernel: q [batch, heads, tokens, headDim], k and v [batch, kvHeads, tokens, headDim],
   * and, where samples are filled up, int32 [batch], the keys that each has. `output`: in the shape of q. `logSum`: the logarithm of the sum of the
   * exponentials of each query's scores, which the gradient reads, float32 [batch, heads, tokens, 1].
   */
  attention: AttentionScores & { readonly of: 'output' | 'logSum' };
  /** The gradient of attention toward one of its inputs, of q, k, v, `logSum`, `output`, the gradient toward the output, and the keys of each sample. */
  attentionGradient: AttentionScores & { readonly toward: 'q' | 'k' | 'v' };
  /** x [batch, h, w, in] with a filter [out, in / groups, kh, kw]. */
  conv2d: Window2d & { readonly groups: number };
  conv2dInputGrad: Window2d & { readonly groups: number; readonly inputShape: Shape };
  conv2dFilterGrad: Window2d & { readonly groups: number; readonly filterShape: Shape };
  maxPool2d: Pool2d;
  maxPool2dGrad: Pool2d;
  // effects on variables; each gives a scalar token
  assign: { readonly variable: string };
  assignAdd: { readonly variable: string };
  /** Writes `values` [r, …] over the rows `rows` [r] of a variable, in place. */
  updateRows: { readonly variable: string };
  /** Writes `values` [k] over the elements `indices` [k] of a variable, counted in its flat order, in place. */
  updateElements: { readonly variable: string };
  /** Writes `values` [rows, c] over the columns `columns` [c] of a matrix that is `width` wide, in place. */
  updateColumns: { readonly variable: string; readonly width: number };
  /** One step of Adam on a whole variable with its two moments, in place (Kingma & Ba 2015, algorithm 1). */
  adam: AdamRates & { readonly variable: string; readonly m: string; readonly v: string };
  /** A scalar that is there when all inputs have run. */
  group: None;
  // the processes of a run
  /** Begins to sum a tensor over all processes, in which its numbers travel as `as`. Only `endSum` may read it: until then it holds anything. */
  beginSum: {
    readonly as: SumType;
    /** Names what is lost of these numbers, if the form keeps it. */
    readonly residual: string;
  };
  /** Waits for the sum over all processes that `beginSum` began. */
  endSum: None;
}

export type OpName = keyof OpAttributes;
