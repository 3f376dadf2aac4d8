/** What a fused step runs: loads, arithmetic on rows, stores. The kernel that runs it is `engine/native/row-program.cc`. */
import type { OpName } from '../attributes.ts';
import type { Node } from '../graph.ts';

/** In the order of the kernel's own list: `Execute` in engine/native/row-program.cc. */
export const INSTRUCTIONS = [
  'neg',
  'abs',
  'sign',
  'exp',
  'sqrt',
  'rsqrt',
  'square',
  'reciprocal',
  'tanh',
  'sigmoid',
  'erf',
  'relu',
  'roundToBfloat16',
  'add',
  'sub',
  'mul',
  'div',
  'maximum',
  'minimum',
  'equal',
  'less',
  'greaterEqual',
  'sigmoidGrad',
  'select',
  'sum',
  'max',
  'log',
  'floor',
] as const;
export type InstructionName = (typeof INSTRUCTIONS)[number];

const ELEMENTWISE: ReadonlySet<OpName> = new Set<OpName>(
  INSTRUCTIONS.filter((name): name is InstructionName & OpName => !['roundToBfloat16', 'sum', 'max'].includes(name)),
);

/** Is this operation one instruction, element by element? */
export const isElementwise = (op: OpName): op is InstructionName & OpName => ELEMENTWISE.has(op);

/** A register has a number for every element of a row, one for the row, or one for all rows. */
export const REGISTER_KINDS = ['full', 'row', 'scalar'] as const;
export type RegisterKind = (typeof REGISTER_KINDS)[number];

/** Element of row (l₀, l₁, …) and column c: offset + Σ lead · l + column · c. */
export interface RowAccess {
  readonly register: number;
  readonly offset: number;
  readonly column: number;
  readonly lead: readonly number[];
}

export interface Load extends RowAccess {
  readonly node: Node;
  /** Rows outside [low, high) of a leading axis hold `fill`. */
  readonly windows: readonly { readonly axis: number; readonly low: number; readonly high: number }[];
  readonly fill: number;
}

export interface Store extends RowAccess {
  readonly node: Node;
}

export interface Instruction {
  readonly name: InstructionName;
  readonly target: number;
  readonly operands: readonly number[];
}

export interface RowProgram {
  readonly columns: number;
  /** Sizes of the axes that a row is counted by. */
  readonly lead: readonly number[];
  /** Does anything need a row as a whole? */
  readonly reduces: boolean;
  readonly registers: readonly RegisterKind[];
  readonly constants: readonly { readonly register: number; readonly value: number }[];
  readonly loads: readonly Load[];
  readonly instructions: readonly Instruction[];
  readonly stores: readonly Store[];
  /** For each output the inputs whose memory it may take over: read at the very place that is written, and nowhere else. */
  readonly takesOver: ReadonlyMap<Node, readonly Node[]>;
}
