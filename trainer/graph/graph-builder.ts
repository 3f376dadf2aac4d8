/** The graph builder: a short method for each operation, NumPy's broadcasting, and small rewrites that never cost anything. */
import type { AttentionScores, OpAttributes, Pool2d, Window2d } from './attributes.ts';
import { type BuildRules, inputsOf, type Node, NodeStore } from './node-store.ts';
import type { SumType } from './sum-forms.ts';
import { type DType, elementCount, GraphError, type HostArray, resolveAxis, type Shape, sameShape } from './types.ts';

/** Number of steps of a probability. A random mask takes 16 bits per element, half the time of 32. */
export const RANDOM_STEPS = 2 ** 16;

/** The parts that a batch is divided into: equal in size, one for each process or device. */
export interface Parts {
  readonly count: number;
  /** Index of this part, from 0. */
  readonly own: number;
}

/** The parts of the batch that a graph computes: one of them, or each on its own device, with the same program. */
export type ComputedParts = Parts | { readonly count: number; readonly own: 'each' };

/** Name of the feed that identifies the part, for graphs that compute each part on its own device. */
export const OWN_PART = 'ownPart';

/** Returns the value of {@link OWN_PART} for one of several devices: float32 [count], 1 at its part and 0 elsewhere. */
export const ownPartFeed = ({ count, own }: Parts): Float32Array =>
  Float32Array.from({ length: count }, (_, part) => (part === own ? 1 : 0));

const WHOLE: ComputedParts = { count: 1, own: 0 };

export class GraphBuilder extends NodeStore {
  readonly parts: ComputedParts;

  constructor(rules: BuildRules, parts: ComputedParts = WHOLE) {
    super(rules);
    this.parts = parts;
  }

  feed(name: string, shape: Shape, dtype: DType = 'float32'): Node {
    return this.node('feed', [], { name, spec: { shape, dtype } });
  }
  constant(value: HostArray, shape: Shape, dtype: DType): Node {
    if (value.length !== elementCount(shape)) throw new GraphError(`${value.length} numbers do not fill [${shape}]`);
    return this.node('constant', [], { value, shape, dtype });
  }
  /** Returns 0, 1, 2, … in row-major order, int32. */
  counting = (shape: Shape): Node =>
    this.constant(
      Int32Array.from({ length: elementCount(shape) }, (_, i) => i),
      shape,
      'int32',
    );
  /** Adds a float32 constant whose values are computed only when an engine requests them: an estimate never does. */
  lazyConstant(shape: Shape, fill: () => Float32Array): Node {
    let made: Float32Array | undefined;
    const attrs = {
      shape,
      dtype: 'float32',
      get value() {
        made ??= fill();
        return made;
      },
    } as const;
    return this.node('constant', [], attrs);
  }
  scalar(value: number, dtype: 'float32' | 'int32' = 'float32'): Node {
    return this.constant(dtype === 'int32' ? Int32Array.of(value) : Float32Array.of(value), [], dtype);
  }
  zeros(shape: Shape): Node {
    return this.broadcast(this.scalar(0), shape);
  }
  /**
   * Returns a bool mask, each element true with probability `share`, rounded to a multiple of 1/65536, from a seed, int32[2]. If the batch
   * is divided into parts, the result is this part's section of the mask of the whole batch.
   */
  randomMask(seed: Node, shape: Shape, share: number): Node {
    const { own, count } = this.parts;
    const ones = Math.round(share * RANDOM_STEPS);
    if (own === 'each') return this.node('randomMask', [seed], { shape, ones, parts: count });
    const skip = own * elementCount(shape);
    return this.node('randomMask', [seed], { shape, ones, ...(skip > 0 && { skip }) });
  }

  neg = (x: Node): Node => this.node('neg', [x], {});
  abs = (x: Node): Node => this.node('abs', [x], {});
  sign = (x: Node): Node => this.node('sign', [x], {});
  floor = (x: Node): Node => this.node('floor', [x], {});
  exp = (x: Node): Node => this.node('exp', [x], {});
  log = (x: Node): Node => this.node('log', [x], {});
  sqrt = (x: Node): Node => this.node('sqrt', [x], {});
  rsqrt = (x: Node): Node => this.node('rsqrt', [x], {});
  square = (x: Node): Node => this.node('square', [x], {});
  reciprocal = (x: Node): Node => this.node('reciprocal', [x], {});
  tanh = (x: Node): Node => this.node('tanh', [x], {});
  sigmoid = (x: Node): Node => this.node('sigmoid', [x], {});
  erf = (x: Node): Node => this.node('erf', [x], {});
  relu = (x: Node): Node => this.node('relu', [x], {});
  sin = (x: Node): Node => this.node('sin', [x], {});
  cos = (x: Node): Node => this.node('cos', [x], {});
  /** Casts an element type. A cast from bfloat16 to float32 and back is dropped. */
  cast = (x: Node, dtype: DType): Node => {
    if (x.dtype === dtype) return x;
    const [source] = x.op === 'cast' && x.dtype === 'float32' && dtype === 'bfloat16' ? x.inputs : [];
    return source?.dtype === dtype ? source : this.node('cast', [x], { dtype });
  };

  add = (a: Node, b: Node | number): Node => this.node('add', [a, this.lift(b, a)], {});
  sub = (a: Node, b: Node | number): Node => this.node('sub', [a, this.lift(b, a)], {});
  mul = (a: Node, b: Node | number): Node => (b === 1 ? a : this.node('mul', [a, this.lift(b, a)], {}));
  div = (a: Node, b: Node | number): Node => this.node('div', [a, this.lift(b, a)], {});
  maximum = (a: Node, b: Node | number): Node => this.node('maximum', [a, this.lift(b, a)], {});
  minimum = (a: Node, b: Node | number): Node => this.node('minimum', [a, this.lift(b, a)], {});
  equal = (a: Node, b: Node | number): Node => this.node('equal', [a, this.lift(b, a)], {});
  less = (a: Node, b: Node | number): Node => this.node('less', [a, this.lift(b, a)], {});
  greaterEqual = (a: Node, b: Node | number): Node => this.node('greaterEqual', [a, this.lift(b, a)], {});
  logicalAnd = (a: Node, b: Node): Node => this.node('logicalAnd', [a, b], {});
  select = (condition: Node, a: Node, b: Node): Node => this.node('select', [condition, a, b], {});

  sum(x: Node, axes: readonly number[], keepDims = false): Node {
    if (axes.length === 0) return x;
    return this.node('sum', [x], { axes: this.axesOf(x, axes), keepDims });
  }
  sumAll = (x: Node): Node =>
    this.sum(
      x,
      x.shape.map((_, i) => i),
    );
  mean(x: Node, axes: readonly number[], keepDims = false): Node {
    const count = axes.reduce((n, axis) => n * (x.shape[resolveAxis(axis, x.shape.length)] ?? 1), 1);
    return this.mul(this.sum(x, axes, keepDims), 1 / count);
  }
  max(x: Node, axes: readonly number[], keepDims = false): Node {
    return this.node('max', [x], { axes: this.axesOf(x, axes), keepDims });
  }
  argmax = (x: Node, axis: number): Node => this.node('argmax', [x], { axis: resolveAxis(axis, x.shape.length) });
  /** Softmax over the last axis. */
  softmax = (x: Node): Node => this.node('softmax', [x], {});

  reshape(x: Node, shape: Shape): Node {
    if (sameShape(x.shape, shape)) return x;
    const source = x.op === 'reshape' && !x.custom ? inputsOf(x, 1)[0] : x;
    return sameShape(source.shape, shape) ? source : this.node('reshape', [source], { shape });
  }
  transpose(x: Node, perm: readonly number[]): Node {
    return perm.every((axis, i) => axis === i) ? x : this.node('transpose', [x], { perm });
  }
  slice(x: Node, begin: readonly number[], size: readonly number[]): Node {
    return sameShape(x.shape, size) ? x : this.node('slice', [x], { begin, size });
  }
  /** Returns the range [begin, begin + size) of one axis. */
  sliceAxis(x: Node, axis: number, begin: number, size: number): Node {
    const at = resolveAxis(axis, x.shape.length);
    return this.slice(
      x,
      x.shape.map((_, i) => (i === at ? begin : 0)),
      x.shape.map((d, i) => (i === at ? size : d)),
    );
  }
  pad(x: Node, before: readonly number[], after: readonly number[], value = 0): Node {
    if (before.every(n => n === 0) && after.every(n => n === 0)) return x;
    return this.node('pad', [x], { before, after, value });
  }
  concat(parts: readonly Node[], axis: number): Node {
    const first = parts[0];
    if (!first) throw new GraphError('concat of nothing');
    return parts.length === 1 ? first : this.node('concat', parts, { axis: resolveAxis(axis, first.shape.length) });
  }
  broadcast(x: Node, shape: Shape): Node {
    return sameShape(x.shape, shape) ? x : this.node('broadcast', [x], { shape });
  }

  /** Picks entries of `axis` by an int32 tensor of any shape, which replaces that axis. @param padding an entry that gets no gradient */
  gather = (x: Node, indices: Node, axis = 0, padding?: number): Node =>
    this.node('gather', [x, indices], { axis: resolveAxis(axis, x.shape.length), ...(padding !== undefined && { padding }) });
  segmentSum = (data: Node, ids: Node, count: number, also: { readonly distinct?: true } = {}): Node =>
    this.node('segmentSum', [data, ids], { count, ...also });
  oneHot = (ids: Node, depth: number): Node => this.node('oneHot', [ids], { depth });

  /** Matrix product over the last two axes; leading axes must be equal. */
  matmul(a: Node, b: Node, options: { transposeA?: boolean; transposeB?: boolean } = {}): Node {
    return this.node('matmul', [a, b], { transposeA: options.transposeA ?? false, transposeB: options.transposeB ?? false });
  }
  /** See `OpAttributes`: x [m, in] times the matrix of each assignment's expert in w [experts · out, in]; ids int32 [n] → [n, out]. */
  expertProduct = (x: Node, w: Node, ids: Node, attrs: OpAttributes['expertProduct']): Node =>
    this.node('expertProduct', [x, w, ids], attrs);
  /** Σ a_t ⊗ b_t for each expert, [experts · out, in], or only the requested rows. */
  expertGradient = (a: Node, b: Node, ids: Node, experts: number, rows?: Node): Node =>
    this.node('expertGradient', rows ? [a, b, ids, rows] : [a, b, ids], { experts });
  /**
   * Attention as one kernel: see `OpAttributes`. @param lengths number of keys of each sample, int32 [batch]; by default all keys
   * @returns the output, in the shape of q
   */
  fusedAttention(q: Node, k: Node, v: Node, scores: AttentionScores, lengths?: Node): Node {
    const inputs = lengths ? [q, k, v, lengths] : [q, k, v];
    const output = this.node('attention', inputs, { ...scores, of: 'output' });
    const logSum = this.node('attention', inputs, { ...scores, of: 'logSum' });
    output.custom = {
      inputs: [q, k, v],
      rule: ({ dy, wants, value }) => {
        const read = [q, k, v, logSum, output].map(value);
        const all = [...read, dy, ...(lengths ? [value(lengths)] : [])];
        return (['q', 'k', 'v'] as const).map((toward, i) =>
          wants(i) ? this.node('attentionGradient', all, { ...scores, toward }) : undefined,
        );
      },
    };
    return output;
  }
  conv2d = (x: Node, filter: Node, attrs: Window2d & { groups: number }): Node => this.node('conv2d', [x, filter], attrs);
  maxPool2d = (x: Node, attrs: Pool2d): Node => this.node('maxPool2d', [x], attrs);

  assign = (variable: string, value: Node): Node => this.node('assign', [value], { variable });
  assignAdd = (variable: string, value: Node): Node => this.node('assignAdd', [value], { variable });
  /** Writes `values` [r, …] to the rows `rows` [r] of a variable, in place. */
  updateRows = (variable: string, rows: Node, values: Node): Node => this.node('updateRows', [rows, values], { variable });
  /** Writes `values` [k] to the elements `indices` int32 [k] of a variable, counted in flat order, in place. */
  updateElements = (variable: string, indices: Node, values: Node): Node => this.node('updateElements', [indices, values], { variable });
  /** Writes `values` [rows, c] to `columns` int32 [c] of a matrix [rows, width], in place. */
  updateColumns = (variable: string, width: number, columns: Node, values: Node): Node =>
    this.node('updateColumns', [columns, values], { variable, width });
  group = (tokens: readonly Node[]): Node => this.node('group', tokens, {});

  /** Starts summing x over all parts, float32; `endSum` returns the sum. */
  beginSum = (x: Node, as: SumType = 'float32', residual = ''): Node => this.node('beginSum', [x], { as, residual });
  endSum = (begun: Node): Node => this.node('endSum', [begun], {});
  /** Returns the sum of x over all parts, without overlapping other work. */
  totalOf = (x: Node): Node => (this.parts.count === 1 ? x : this.endSum(this.beginSum(x)));
  /** Returns int32 [rows]: the indices of this part's rows among the rows of all parts. */
  ownRowIndices(rows: number): Node {
    const { own } = this.parts;
    if (own !== 'each')
      return this.constant(
        Int32Array.from({ length: rows }, (_, row) => own * rows + row),
        [rows],
        'int32',
      );
    const { count } = this.parts;
    const number = this.sumAll(this.mul(this.ownPart(), this.constant(Float32Array.from(Array(count).keys()), [count], 'float32')));
    const row = this.constant(Float32Array.from(Array(rows).keys()), [rows], 'float32');
    return this.cast(this.add(row, this.mul(number, rows)), 'int32');
  }
  /** Returns the rows of x from all parts, in order. They are bit-identical, because the other parts add zeros. */
  rowsOfAll(x: Node): Node {
    const { count, own } = this.parts;
    const [rows, ...rest] = x.shape;
    if (rows === undefined) throw new GraphError('a scalar has no rows');
    if (own === 'each') {
      const place = this.reshape(this.ownPart(), [count, 1, ...rest.map(() => 1)]);
      return this.totalOf(this.reshape(this.mul(this.reshape(x, [1, ...x.shape]), place), [count * rows, ...rest]));
    }
    const padding = (parts: number): number[] => [parts * rows, ...rest.map(() => 0)];
    return this.totalOf(this.pad(x, padding(own), padding(count - 1 - own)));
  }

  /** Returns float32 [count]: 1 at the part of the executing device, 0 elsewhere. */
  private ownPart = (): Node => this.feed(OWN_PART, [this.parts.count]);
  private lift(value: Node | number, like: Node): Node {
    return typeof value === 'number' ? this.scalar(value, like.dtype === 'int32' ? 'int32' : 'float32') : value;
  }
  private axesOf = (x: Node, axes: readonly number[]): number[] =>
    axes.map(axis => resolveAxis(axis, x.shape.length)).sort((a, b) => a - b);
}
