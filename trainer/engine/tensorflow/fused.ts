/** Emits a fused step for TensorFlow: one node of the operation that `native/operations.cc` registers. */

import { ELEMENT_TYPES, INSTRUCTION_NAMES, REGISTER_KINDS, type RowAccess, type RowProgram } from '../../graph/fusion/row-program.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import type { DType } from '../../graph/types.ts';
import type { Emitter } from './emitter.ts';
import { attr } from './node-def.ts';

const FUSED = 'RowtuneFused';

const types: readonly DType[] = ELEMENT_TYPES;
const typeNumber = (dtype: DType): number => types.indexOf(dtype);

/** Emits the step. @returns the names of the outputs, in the order of the step's nodes */
export function emitFused(
  emitter: Emitter,
  { nodes, reads, program }: Step & { readonly program: RowProgram },
  inputs: readonly string[],
): string[] {
  const name = emitter.emit(FUSED, inputs, {
    program: attr.bytes(encodeRowProgram(program, nodes, reads)),
    Tin: attr.types(reads.map(({ dtype }) => dtype)),
    Tout: attr.types(nodes.map(({ dtype }) => dtype)),
  });
  return nodes.map((_, i) => (i === 0 ? name : `${name}:${i}`));
}

/** Encodes a program as the words that `ParseRowProgram` reads. */
export function encodeRowProgram(program: RowProgram, outputs: readonly Node[], inputs: readonly Node[]): Uint8Array {
  const words: number[] = [];
  const list = <T>(items: readonly T[], write: (item: T) => void): void => {
    words.push(items.length);
    items.forEach(write);
  };
  const access = (tensor: number, dtype: DType, { register, offset, column, lead }: RowAccess): void => {
    words.push(tensor, typeNumber(dtype), register, offset, column, ...lead);
  };
  words.push(program.columns, program.reduces ? 1 : 0);
  list(program.lead, size => words.push(size));
  list(program.registers, kind => words.push(REGISTER_KINDS.indexOf(kind)));
  list(program.constants, ({ register, value }) => words.push(register, bitsOf(value)));
  list(program.loads, load => {
    access(inputs.indexOf(load.node), load.node.dtype, load);
    list(load.windows, ({ axis, low, high }) => words.push(axis, low, high));
    words.push(bitsOf(load.fill));
  });
  list(program.instructions, ({ name, target, operands }) => {
    const [a = 0, b = 0, c = 0] = operands;
    words.push(INSTRUCTION_NAMES.indexOf(name), target, a, b, c);
  });
  list(program.stores, store => access(outputs.indexOf(store.node), store.node.dtype, store));
  list(outputs, node => {
    words.push(typeNumber(node.dtype));
    list(node.shape, size => words.push(size));
    list(program.takesOver.get(node) ?? [], input => words.push(inputs.indexOf(input)));
  });
  return new Uint8Array(Int32Array.from(words).buffer);
}

const bitsOf = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0] as number;
