/** The nodes of a static-shape tensor graph under construction. The order in which nodes are made is the order in which they run. */
import type { OpAttributes, OpName } from './attributes.ts';
import { type DType, elementCount, GraphError, type Shape, showSpec, type TensorSpec } from './types.ts';

/** One operation and the tensor it gives. Immutable but for the two notes that the gradient reads. */
export interface Node<Op extends OpName = OpName> extends TensorSpec {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Node[];
  readonly attrs: OpAttributes[Op];
  /** The checkpointed block that this node was made in; −1 outside any. */
  readonly block: number;
  /** True for the copy of a forward node that the backward pass computes again. */
  readonly recomputed: boolean;
  /** True where computing again is cheap even though the operation is a product (attention scores). */
  readonly cheap: boolean;
  /** True for a weight on its way from its stored form to the one computed with: as large as the weight, so never kept for the backward pass. */
  readonly transient: boolean;
  /** 0 in the forward pass, 1 in the backward pass, 2 in updates that wait for its end; an expression is shared within a phase, so that the backward pass keeps nothing unawares. */
  readonly phase: number;
  /** Runs on the host where the engine computes on a GPU. */
  readonly onHost: boolean;
  /** Set on the output of a composite: its gradient is taken as one, and the nodes inside are passed over. */
  custom?: CustomGradient;
  /** Set where this tensor is the one to keep for the backward pass, in place of the product that it is a cheap form of. */
  kept?: boolean;
  /** Set where the backward passes of several blocks read this tensor: kept by every recompute policy. */
  shared?: boolean;
  /** Set on the input of a block: kept for the backward pass by every recompute policy. */
  boundary?: boolean;
}

/** Returns whether a node is of an operation, whose attributes it then has. */
export const isOp = <Op extends OpName>(node: Node, op: Op): node is Node<Op> => node.op === op;

interface Inputs {
  readonly 1: readonly [Node];
  readonly 2: readonly [Node, Node];
  readonly 3: readonly [Node, Node, Node];
}

/** Returns the inputs of an operation that has at least this many. @throws GraphError if it has fewer */
export function inputsOf<Count extends keyof Inputs>(node: Node, count: Count): Inputs[Count];
export function inputsOf({ op, id, inputs }: Node, count: number): readonly Node[] {
  if (inputs.length < count) throw new GraphError(`${op} (node ${id}) has fewer than ${count} inputs`);
  return inputs;
}

/** The gradient that arrives at the output of an operation, and what a rule may ask for to pass it on. */
export interface IncomingGradient {
  /** Gradient of the loss toward the output, of the output's shape. */
  readonly dy: Node;
  /** Is the gradient toward input i needed? */
  wants(i: number): boolean;
  /** Returns the forward value of a node, kept or computed again as the recompute policy says. */
  value(node: Node): Node;
}

export interface CustomGradient {
  readonly inputs: readonly Node[];
  /** Returns the gradients toward the inputs, in their order; undefined where none flows. */
  readonly rule: (incoming: IncomingGradient) => readonly (Node | undefined)[];
}

/** The facts about an operation that building a graph needs. */
export interface BuildRule<Op extends OpName> {
  /** Shape and dtype of the output. Throws GraphError when the inputs do not fit. */
  readonly infer: (inputs: readonly TensorSpec[], attrs: OpAttributes[Op]) => TensorSpec;
  /** False for effects and random numbers of no seed: never merged, never dropped when asked for. */
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

/** Feeds, constants and variables: they are there whatever runs, and give the same tensor wherever they stand, so every phase shares them. */
export const isSource = ({ op }: Pick<Node, 'op'>): boolean => op === 'feed' || op === 'constant' || op === 'read';

/** Whether an operation belongs to the backward pass, or computes again for it. */
export const isBackward = ({ phase, recomputed }: Pick<Node, 'phase' | 'recomputed'>): boolean => phase > 0 || recomputed;

export class NodeStore {
  readonly nodes: Node[] = [];
  readonly variables = new Map<string, VariableSpec>();
  /** The input of each checkpointed block, in their order. */
  readonly boundaries: Node[] = [];
  private readonly known = new Map<string, Node>();
  private readonly rules: BuildRules;
  private context: Context = { block: -1, recomputed: false, cheap: false, transient: false, phase: 0, onHost: false };

  constructor(rules: BuildRules) {
    this.rules = rules;
  }

  /**
   * Adds an operation, or finds the node that already computes it (common subexpressions are handled here and nowhere else).
   * @throws GraphError when the inputs do not fit the operation
   */
  node<Op extends OpName>(op: Op, inputs: readonly Node[], attrs: OpAttributes[Op]): Node {
    const { block, recomputed, cheap, transient, phase, onHost } = this.context;
    const key = this.rules[op].pure !== false && !recomputed ? this.keyOf(op, inputs, attrs) : undefined;
    const found = key === undefined ? undefined : this.known.get(key);
    if (found) return found;
    const { shape, dtype } = this.infer(op, inputs, attrs);
    // Field by field: a 7B model has some 20 000 nodes, and spreading takes several times as long.
    const made: Node = { id: this.nodes.length, op, inputs, attrs, shape, dtype, block, recomputed, cheap, transient, phase, onHost };
    this.nodes.push(made);
    if (key !== undefined) this.known.set(key, made);
    return made;
  }

  /** Declares a variable (once) and gives its value; a read behind a write in the same signature takes another version. */
  read(variable: VariableSpec, version = 0): Node {
    this.declare(variable);
    return this.node('read', [], { variable: variable.name, shape: variable.shape, dtype: variable.dtype, version });
  }

  declare(variable: VariableSpec): void {
    this.variables.set(variable.name, variable);
  }

  /** Builds under a changed context: inside a block, as a recomputation, or as cheap to recompute. */
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

  /** Returns the output of an operation. An error names the operation and its inputs. */
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
    // What is never kept is not held for another block either.
    const isShared = isSource({ op });
    let key = `${isShared ? 0 : phase} ${transient && !isShared ? `in ${block} ` : ''}${op}`;
    for (const input of inputs) key += ` ${input.id}`;
    for (const name in attrs) key += ` ${name} ${keyOfAttribute(attrs[name])}`;
    return key;
  }
}

const isConstant = (op: OpName, _attrs: OpAttributes[OpName]): _attrs is OpAttributes['constant'] => op === 'constant';

/** Lists are of numbers alone; to write those as JSON takes several times as long. */
function keyOfAttribute(value: unknown): string {
  if (Array.isArray(value)) return `[${value.join()}]`;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Nodes that a node depends on, back to the first of `wanted`, so that those of `wanted` that it depends on are among them. */
export function ancestors(node: Node, wanted: readonly Node[]): ReadonlySet<Node> {
  const seen = new Set<Node>();
  if (wanted.length === 0) return seen;
  const first = Math.min(...wanted.map(({ id }) => id));
  const waiting = [...node.inputs];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    // Inputs are made before the nodes that read them.
    if (next.id < first || seen.has(next)) continue;
    seen.add(next);
    waiting.push(...next.inputs);
  }
  return seen;
}
