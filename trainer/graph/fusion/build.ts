/** Builds the program of one fused step, from the nodes that it produces down to those that it reads. */
import { atLeast, elementAt, lastOf, required } from '../../narrow.ts';
import type { Node } from '../graph.ts';
import { inputsOf, isOp } from '../node-store.ts';
import { type DType, elementCount, fromBfloat16 } from '../types.ts';
import {
  type Access,
  type Axis,
  Axis as AxisOf,
  accessKey,
  identity,
  isRegular,
  NotAnAccess,
  resolve,
  throughBroadcast,
  throughPad,
  throughReshape,
  throughSlice,
  throughTranspose,
} from './access.ts';
import { isReduction, isView } from './fusible.ts';
import { layOut } from './lay-out.ts';
import { NotComputableError } from './must-be-read.ts';
import { isElementwise, ROW_PROGRAM_LIMITS, type RowProgram } from './row-program.ts';
import { axesOf, type RootStore, type Value, Values } from './values.ts';

export interface FusedParams {
  /** Results of the step; the program iterates over the shape of the first. */
  readonly roots: readonly Node[];
  /** Returns true if the program reads this node instead of computing it. Never called for a root. */
  readonly isRead: (node: Node) => boolean;
}

export interface Fused {
  readonly program: RowProgram;
  /** Nodes that the program loads. */
  readonly reads: readonly Node[];
}

/** A program, or the node that prevents it: one that cannot be part of the program, or that the program cannot produce. */
export type BuildResult =
  | { readonly fused: Fused; readonly blockedBy?: undefined }
  | { readonly blockedBy: Node; readonly fused?: undefined };

export function buildFused({ roots, isRead }: FusedParams): BuildResult {
  try {
    const builder = new Builder(new Set(roots), isRead);
    const stores = builder.storesOf(roots);
    const program = layOut(stores, { walked: builder.walked, column: builder.column });
    return { fused: { program, reads: [...new Set(program.loads.map(({ node }) => node))] } };
  } catch (error) {
    if (error instanceof NotComputableError) return { blockedBy: error.node };
    throw error;
  }
}

class Builder {
  /** The axes of the first root, in order. */
  walked: readonly Axis[] = [];
  /** The axis that rows run along; undefined, and free to choose, until an operation works on whole rows. */
  column: Axis | undefined;
  private readonly values = new Values();
  private readonly roots: ReadonlySet<Node>;
  private readonly isRead: FusedParams['isRead'];
  private readonly memo = new Map<string, Value>();
  private readonly stores = new Map<Node, RootStore>();
  /** How roots are stored that have the shape of the first root, or one element for each of its rows. */
  private frame: { readonly shape: readonly number[]; readonly access: Access } | undefined;

  constructor(roots: ReadonlySet<Node>, isRead: FusedParams['isRead']) {
    this.roots = roots;
    this.isRead = isRead;
  }

  storesOf(roots: readonly Node[]): RootStore[] {
    const [first, ...others] = atLeast(roots, 1);
    const access = identity(first.shape);
    this.frame = { shape: first.shape, access };
    this.walked = access.dims.flatMap(({ terms }) => terms.map(({ axis }) => axis));
    const parts = this.concatParts(first, access);
    if (parts && others.length > 0) throw new NotComputableError(elementAt(others, 0));
    if (parts) return parts;
    this.stores.set(first, { node: first, access, value: this.compute(first, access) });
    for (const root of others) {
      if (this.stores.has(root)) continue;
      const own = this.accessOfOther(root);
      this.stores.set(root, { node: root, access: own, value: this.compute(root, own) });
    }
    return [...this.stores.values()];
  }

  /**
   * Returns the access of a root that is not needed to compute the first: it has the first root's shape, or one element for each of its
   * rows.
   */
  private accessOfOther(root: Node): Access {
    const { shape, access } = required(this.frame, 'the frame of the first root');
    if (root.shape.join() === shape.join()) return access;
    const rows = shape.slice(0, -1);
    if (root.shape.join() === rows.join()) return { dims: access.dims.slice(0, -1) };
    if (root.shape.join() === [...rows, 1].join()) return { dims: [...access.dims.slice(0, -1), { terms: [], begin: 0, size: 1 }] };
    throw new NotComputableError(root);
  }

  /** Stores a root that moves or casts a concat part by part, over the axes of a part. */
  private concatParts(root: Node, whole: Access): RootStore[] | undefined {
    let [node, access] = [root, whole];
    const casts: Node[] = [];
    while ((isView(node) && node.op !== 'concat') || node.op === 'cast') {
      const input = inputsOf(node, 1)[0];
      if (this.isRead(input)) return undefined;
      if (node.op === 'cast') casts.push(node);
      else access = this.guard(root, () => this.through(node, access));
      node = input;
    }
    if (!isOp(node, 'concat')) return undefined;
    const { axis } = node.attrs;
    const dim = resolve(elementAt(access.dims, axis));
    const parts = node.inputs.length;
    const [first, ...rest] = dim.terms;
    const partSize = dim.size / parts;
    if (!first || !isRegular(dim) || first.axis.size % parts !== 0 || access.padding) throw new NotComputableError(root);
    if (first.axis.size > parts) first.axis.cut(first.axis.size / parts);
    const [outer, ...inner] = atLeast(first.axis.leaves, 1);
    const kept = [...inner.map(leaf => ({ axis: leaf, stride: first.stride })), ...rest];
    this.walked = this.walked.flatMap(each => each.leaves).filter(each => each !== outer);
    const partAccess: Access = { dims: access.dims.map((other, i) => (i === axis ? { terms: kept, begin: 0, size: partSize } : other)) };
    return node.inputs.map((part, i) => ({
      node: root,
      access: { dims: whole.dims.map(each => fixed(each, outer, i)) },
      value: casts.reduceRight((value, { dtype }) => this.castTo(dtype, value), this.valueOf(part, partAccess)),
    }));
  }

  /** Returns the value of a node, either read or computed. */
  private valueOf(node: Node, access: Access): Value {
    if (isOp(node, 'constant') && elementCount(node.shape) === 1 && node.dtype !== 'int32' && access.padding === undefined)
      return this.values.constant(numberOf(node));
    if (this.roots.has(node)) return this.rootValue(node, access);
    if (this.isRead(node)) return this.values.load(node, access);
    // Nothing may be computed outside a pad's input; a cast of 0 is safe, because 0 is the same in every element type.
    if (access.padding && !isView(node) && !(node.op === 'cast' && access.padding.value === 0)) throw new NotComputableError(node);
    return this.compute(node, access);
  }

  /** Computes a root that another root depends on, and stores it when it is reached. */
  private rootValue(node: Node, access: Access): Value {
    const value = this.compute(node, access);
    const known = this.stores.get(node);
    if (known) {
      if (accessKey(known.access) !== accessKey(access)) throw new NotComputableError(node);
    } else this.stores.set(node, { node, access, value });
    return value;
  }

  private compute(node: Node, access: Access): Value {
    const key = `${node.id} ${accessKey(access)}`;
    const known = this.memo.get(key);
    if (known) return known;
    const made = this.guard(node, () => this.make(node, access));
    this.memo.set(`${node.id} ${accessKey(access)}`, made);
    return made;
  }

  private guard<T>(node: Node, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw error instanceof NotAnAccess ? new NotComputableError(node) : error;
    }
  }

  private make(node: Node, access: Access): Value {
    const input = (i: number): Node => elementAt(node.inputs, i);
    const operand = (i: number): Value => this.valueOf(input(i), throughBroadcast(access, input(i).shape));
    if (isElementwise(node.op)) {
      const value = this.values.apply(
        node.op,
        node.inputs.map((_, i) => operand(i)),
      );
      return KEEPS_BFLOAT16.has(node.op) ? value : this.castTo(node.dtype, value);
    }
    if (node.op === 'cast') return this.castTo(node.dtype, operand(0));
    if (node.op === 'concat') throw new NotComputableError(node);
    if (isView(node)) return this.valueOf(input(0), this.through(node, access));
    if (node.op === 'softmax') return this.softmax(node, access);
    if (isReduction(node)) return this.reduce(node, access);
    throw new NotComputableError(node);
  }

  private through(node: Node, access: Access): Access {
    const [input] = inputsOf(node, 1);
    if (isOp(node, 'reshape')) return throughReshape(access, input.shape, node.shape, axis => axis !== this.column);
    if (isOp(node, 'transpose')) return throughTranspose(access, node.attrs.perm);
    if (isOp(node, 'slice')) return throughSlice(access, node.attrs.begin, input.shape);
    if (isOp(node, 'pad')) return throughPad(access, node.attrs.before, input.shape, node.attrs.value);
    if (isOp(node, 'broadcast')) return throughBroadcast(access, input.shape);
    throw new NotComputableError(node);
  }

  /** Returns the column axis for an operation over the last axis, whose length is `size`. */
  private columnOf(node: Node, size: number): Axis {
    const last = this.walked.at(-1);
    const candidate = last?.leaves.length === 1 && last.size === size ? last : undefined;
    this.column ??= candidate ?? new AxisOf(size);
    if (this.column.size !== size || !this.column.isWhole || size > ROW_PROGRAM_LIMITS.reducedColumns) throw new NotComputableError(node);
    return this.column;
  }

  private reduce(node: Node<'sum' | 'max'>, access: Access): Value {
    const [input] = inputsOf(node, 1);
    const isWhole = node.attrs.axes.length > 1;
    const size = isWhole ? elementCount(input.shape) : lastOf(input.shape);
    const column = this.columnOf(node, size);
    if (isWhole) return this.reduceOver(node, this.flat(node, column), column);
    const rows = node.attrs.keepDims ? access.dims.slice(0, -1) : access.dims;
    if (rows.some(dim => resolve(dim).terms.some(({ axis }) => axis === column))) throw new NotComputableError(node);
    const whole: Access = { dims: [...rows, { terms: [{ axis: column, stride: 1 }], begin: 0, size }] };
    return this.reduceOver(node, whole, column);
  }

  /** Returns the access of all elements of the node's input as one row. */
  private flat(node: Node, column: Axis): Access {
    const [input] = inputsOf(node, 1);
    const row: Access = { dims: [{ terms: [{ axis: column, stride: 1 }], begin: 0, size: column.size }] };
    return input.shape.length === 1 ? row : throughReshape(row, input.shape, [column.size], () => false);
  }

  private reduceOver(node: Node<'sum' | 'max'>, whole: Access, column: Axis): Value {
    const value = this.valueOf(inputsOf(node, 1)[0], whole);
    const reduced = this.overRow(node.op, value, column);
    return this.castTo(node.dtype, reduced);
  }

  private castTo(dtype: DType, value: Value): Value {
    if (dtype === 'uint8') return this.values.apply('floor', [value]);
    const isRound =
      (value.kind === 'instruction' && value.name === 'roundToBfloat16') || (value.kind === 'load' && value.node.dtype === 'bfloat16');
    return dtype === 'bfloat16' && !isRound ? this.values.apply('roundToBfloat16', [value]) : value;
  }

  private softmax(node: Node, access: Access): Value {
    const size = lastOf(node.shape);
    const last = resolve(lastOf(access.dims));
    const [term] = last.terms;
    if (last.terms.length !== 1 || last.begin !== 0 || term?.stride !== 1 || term.axis.size !== size) throw new NotComputableError(node);
    if (this.column === undefined) this.column = term.axis;
    if (this.column !== term.axis || size > ROW_PROGRAM_LIMITS.reducedColumns) throw new NotComputableError(node);
    const x = this.valueOf(inputsOf(node, 1)[0], access);
    const apply = this.values.apply.bind(this.values);
    const e = apply('exp', [apply('sub', [x, this.overRow('max', x, term.axis)])]);
    return apply('mul', [e, apply('reciprocal', [this.overRow('sum', e, term.axis)])]);
  }

  /** Reduces a value over a row. A value that is constant along the row has no full-row register, so its reduction is computed directly. */
  private overRow(name: 'sum' | 'max', value: Value, column: Axis): Value {
    if (axesOf(value).includes(column)) return this.values.apply(name, [value], column);
    return name === 'max' ? value : this.values.apply('mul', [value, this.values.constant(column.size)]);
  }
}

/** Operations that return one of their inputs, or its negative, so a bfloat16 value needs no rounding. */
const KEEPS_BFLOAT16: ReadonlySet<string> = new Set(['neg', 'abs', 'sign', 'floor', 'relu', 'maximum', 'minimum', 'select']);

function fixed(dim: Access['dims'][number], axis: Axis, at: number): Access['dims'][number] {
  const { terms, begin, size } = resolve(dim);
  const own = terms.find(term => term.axis === axis);
  return own ? { terms: terms.filter(term => term !== own), begin: begin + at * own.stride, size } : { terms, begin, size };
}

function numberOf({ attrs: { value, dtype } }: Node<'constant'>): number {
  const [bits = 0] = value;
  return dtype === 'bfloat16' ? (fromBfloat16(Uint16Array.of(bits))[0] as number) : bits;
}
