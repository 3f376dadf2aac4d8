/** The program of a fused step: loads, row arithmetic, stores. `engine/tensorflow/native/fused/row-program.cc` runs it. */
import { namesOf } from '../../catalog/entries.ts';
import type { OpName } from '../attributes.ts';
import type { Node } from '../graph.ts';
import type { DType } from '../types.ts';

/**
 * Instructions with their number of operands. The position in this list is the opcode; the kernel's C++ header has the same list
 * (`native/fused/row-program-format.h`, written by a test).
 */
export const INSTRUCTIONS = {
  neg: 1,
  abs: 1,
  sign: 1,
  exp: 1,
  sqrt: 1,
  rsqrt: 1,
  square: 1,
  reciprocal: 1,
  tanh: 1,
  sigmoid: 1,
  erf: 1,
  relu: 1,
  roundToBfloat16: 1,
  add: 2,
  sub: 2,
  mul: 2,
  div: 2,
  maximum: 2,
  minimum: 2,
  equal: 2,
  less: 2,
  greaterEqual: 2,
  sigmoidGrad: 2,
  select: 3,
  sum: 1,
  max: 1,
  log: 1,
  floor: 1,
} as const;
export type InstructionName = keyof typeof INSTRUCTIONS;

/** Instructions in opcode order. */
export const INSTRUCTION_NAMES: readonly InstructionName[] = namesOf(INSTRUCTIONS);

/** Instructions that reduce a whole row to one value. */
export const ROW_REDUCTIONS: ReadonlySet<InstructionName> = new Set<InstructionName>(['sum', 'max']);

const ELEMENTWISE: ReadonlySet<OpName> = new Set<OpName>(
  INSTRUCTION_NAMES.filter((name): name is InstructionName & OpName => name !== 'roundToBfloat16' && !ROW_REDUCTIONS.has(name)),
);

/** Returns true if this operation is a single elementwise instruction. */
export const isElementwise = (op: OpName): op is InstructionName & OpName => ELEMENTWISE.has(op);

/** A register holds one value per element of a row, one per row, or one for all rows. */
export const REGISTER_KINDS = ['full', 'row', 'scalar'] as const;
export type RegisterKind = (typeof REGISTER_KINDS)[number];

/** Element types that the kernel loads and stores, in the order of their codes. */
export const ELEMENT_TYPES = ['float32', 'bfloat16', 'bool', 'uint8', 'int8', 'int32'] as const satisfies readonly DType[];

/** Limits of a program. The planner respects them, and the kernel rejects a program that exceeds them. */
export const ROW_PROGRAM_LIMITS = {
  /** Axes that count rows. */
  leadAxes: 12,
  instructions: 400,
  /** Registers of kind `full`: more would not stay in the L1 cache. */
  fullRegisters: 28,
  /** Columns of a row that is reduced as a whole. */
  reducedColumns: 2 ** 18,
} as const;

/** The element of row (l₀, l₁, …) and column c is at offset + Σ lead · l + column · c. */
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
  /** Sizes of the axes that count rows. */
  readonly lead: readonly number[];
  /** True if an instruction needs a whole row at once. */
  readonly reduces: boolean;
  readonly registers: readonly RegisterKind[];
  readonly constants: readonly { readonly register: number; readonly value: number }[];
  readonly loads: readonly Load[];
  readonly instructions: readonly Instruction[];
  readonly stores: readonly Store[];
  /** The inputs whose memory each output may take over: they are read only at the position that is written. */
  readonly takesOver: ReadonlyMap<Node, readonly Node[]>;
}
