/** The nodes of a static-shape tensor graph under construction. Nodes run in the order in which they are created. */
import type { OpAttributes, OpName } from './attributes.ts';
import { type DType, elementCount, GraphError, type Shape, showSpec, type TensorSpec } from './types.ts';

/** One operation and its output tensor. Immutable except for the marks that the gradient reads. */
export interface Node<Op extends OpName = OpName> extends TensorSpec {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Node[];
  readonly attrs: OpAttributes[Op];
  /** Index of the checkpointed block in which this node was created; −1 outside any block. */
  readonly block: number;
  /** True for a copy of a forward node that the backward pass recomputes. */
  readonly recomputed: boolean;
  /** True if recomputing is cheap even though the operation is a product (attention scores). */
  readonly cheap: boolean;
  /**
   * True for a weight between its stored form and the form used to compute: it is as large as the weight, so it is never kept for the
   * backward pass.
   */
  readonly transient: boolean;
  /**
   * Pass of the node: 0 forward, 1 backward, 2 updates after it. Expressions are shared only within a phase; otherwise the backward pass
   * would keep values unintentionally.
   */
  readonly phase: number;
  /** True if it runs on the host although the engine computes on a GPU. */
  readonly onHost: boolean;
  /** Set on the output of a composite: the composite has one gradient rule, and the nodes inside are skipped. */
  custom?: CustomGradient;
  /** Set if this tensor is kept for the backward pass in place of the product that it is cheaply computed from. */
  kept?: boolean;
  /** Set if the backward passes of several blocks read this tensor: every recompute policy keeps it. */
  shared?: boolean;
  /** Set on the input of a block: a recompute policy may keep it for the backward pass. */
  boundary?: boolean;
}

/** Returns true if a node has this operation, which narrows the type of its attributes. */
export const isOp = <Op extends OpName>(node: Node, op: Op): node is Node<Op> => node.op === op;

interface Inputs {
  readonly 1: readonly [Node];
  readonly 2: readonly [Node, Node];
  readonly 3: readonly [Node, Node, Node];
}

/** Returns the inputs of an operation, of which there must be at least this many. @throws GraphError if there are fewer */
export function inputsOf<Count extends keyof Inputs>(node: Node, count: Count): Inputs[Count];
export function inputsOf({ op, id, inputs }: Node, count: number): readonly Node[] {
  if (inputs.length < count) throw new GraphError(`${op} (node ${id}) has fewer than ${count} inputs`);
  return inputs;
}

/** The gradient that arrives at an operation's output, and the queries that a rule may use to propagate it. */
export interface IncomingGradient {
  /** Gradient of the loss with respect to the output, in the output's shape. */
  readonly dy: Node;
  /** Returns whether the gradient of input i is needed. */
  wants(i: number): boolean;
  /** Returns the forward value of a node, kept or recomputed according to the recompute policy. */
  value(node: Node): Node;
}

export interface CustomGradient {
  readonly inputs: readonly Node[];
  /** Returns the gradients of the inputs, in order; undefined for an input that gets none. */
  readonly rule: (incoming: IncomingGradient) => readonly (Node | undefined)[];
}

/** The facts about an operation that are needed to build a graph. */
export interface BuildRule<Op extends OpName> {
  /** Returns the output's shape and dtype. Throws GraphError if the inputs do not fit. */
  readonly infer: (inputs: readonly TensorSpec[], attrs: OpAttributes[Op]) => TensorSpec;
  /** False for effects and for random values without a seed: they are never merged, and never dropped if requested. */
  readonly pure?: false;
}

export type BuildRules = { readonly [Op in OpName]: BuildRule<Op> };

export interface VariableSpec extends TensorSpec {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

interface Context {
  readonly block: number;
  readonly recomputed: boolean;
  readonly cheap: boolean;
  readonly transient: boolean;
  readonly phase: number;
  readonly onHost: boolean;
}

/** Returns true for feeds, constants and variables: they always exist and have the same value everywhere, so every phase shares them. */
export const isSource = ({ op }: Pick<Node, 'op'>): boolean => op === 'feed' || op === 'constant' || op === 'read';

/** Returns whether an operation belongs to the backward pass, or is recomputed for it. */
export const isBackward = ({ phase, recomputed }: Pick<Node, 'phase' | 'recomputed'>): boolean => phase > 0 || recomputed;

export class NodeStore {
  readonly nodes: Node[] = [];
  readonly variables = new Map<string, VariableSpec>();
  /** The input of each checkpointed block, in order. */
  readonly boundaries: Node[] = [];
  private readonly known = new Map<string, Node>();
  private readonly rules: BuildRules;
  private context: Context = { block: -1, recomputed: false, cheap: false, transient: false, phase: 0, onHost: false };

  constructor(rules: BuildRules) {
    this.rules = rules;
  }

  /**
   * Adds an operation, or returns the node that already computes it (common subexpressions are eliminated here and nowhere else).
   * @throws GraphError if the inputs do not fit the operation
   */
  node<Op extends OpName>(op: Op, inputs: readonly Node[], attrs: OpAttributes[Op]): Node {
    const { block, recomputed, cheap, transient, phase, onHost } = this.context;
    const key = this.rules[op].pure !== false && !recomputed ? this.keyOf(op, inputs, attrs) : undefined;
    const found = key === undefined ? undefined : this.known.get(key);
    if (found) return found;
    const { shape, dtype } = this.infer(op, inputs, attrs);
    // Assigned field by field: a 7B model has about 20 000 nodes, and spreading takes several times as long.
    const made: Node = { id: this.nodes.length, op, inputs, attrs, shape, dtype, block, recomputed, cheap, transient, phase, onHost };
    this.nodes.push(made);
    if (key !== undefined) this.known.set(key, made);
    return made;
  }

  /** Declares a variable (once) and returns its value; a read after a write in the same signature needs another version. */
  read(variable: VariableSpec, version = 0): Node {
    this.declare(variable);
    return this.node('read', [], { variable: variable.name, shape: variable.shape, dtype: variable.dtype, version });
  }

  declare(variable: VariableSpec): void {
    this.variables.set(variable.name, variable);
  }

  /** Builds nodes in a changed context: inside a block, as a recomputation, or as cheap to recompute. */
  within<T>(change: Partial<Context>, build: () => T): T {
    const before = this.context;
    this.context = { ...before, ...change };
    try {
      return build();
    } finally {
      this.context = before;
    }
  }

  /** Builds one checkpointed block over `input`, which every recompute policy may keep as the block's start. */
  checkpointed<T>(input: Node, build: () => T): T {
    input.boundary = true;
    const block = this.boundaries.push(input) - 1;
    return this.within({ block }, build);
  }

  /** Returns the output spec of an operation. An error names the operation and its inputs. */
  private infer<Op extends OpName>(op: Op, inputs: readonly TensorSpec[], attrs: OpAttributes[Op]): TensorSpec {
    const rule: BuildRule<Op> = this.rules[op];
    try {
      return rule.infer(inputs, attrs);
    } catch (error) {
      if (!(error instanceof GraphError)) throw error;
      throw new GraphError(`${op}(${inputs.map(showSpec).join(', ')}): ${error.message}`);
    }
  }

  private keyOf<Attributes extends OpAttributes[OpName]>(op: OpName, inputs: readonly Node[], attrs: Attributes): string | undefined {
    if (isConstant(op, attrs)) {
      const { shape, dtype, value } = attrs;
      return elementCount(shape) > 64 ? undefined : `constant ${dtype} [${shape}] ${value.join()}`;
    }
    const { phase, transient, block } = this.context;
    // A transient value is never kept, so it is not shared with another block either.
    const isShared = isSource({ op });
    let key = `${isShared ? 0 : phase} ${transient && !isShared ? `in ${block} ` : ''}${op}`;
    for (const input of inputs) key += ` ${input.id}`;
    for (const name in attrs) key += ` ${name} ${keyOfAttribute(attrs[name])}`;
    return key;
  }
}

const isConstant = (op: OpName, _attrs: OpAttributes[OpName]): _attrs is OpAttributes['constant'] => op === 'constant';

/** Lists contain only numbers; writing those as JSON would take several times as long. */
function keyOfAttribute(value: unknown): string {
  if (Array.isArray(value)) return `[${value.join()}]`;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Returns the nodes that a node depends on, back to the earliest of `wanted`, so that it includes every dependency in `wanted`. */
export function ancestors(node: Node, wanted: readonly Node[]): ReadonlySet<Node> {
  const seen = new Set<Node>();
  if (wanted.length === 0) return seen;
  const first = Math.min(...wanted.map(({ id }) => id));
  const waiting = [...node.inputs];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    // Inputs are created before the nodes that read them.
    if (next.id < first || seen.has(next)) continue;
    seen.add(next);
    waiting.push(...next.inputs);
  }
  return seen;
}
