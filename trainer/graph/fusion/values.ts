/** The values that a fused program computes: expressions over loads. Equal expressions are shared, so none is computed twice. */
import type { Node } from '../graph.ts';
import { type Access, type Axis, accessKey, resolve } from './access.ts';
import type { InstructionName } from './row-program.ts';

export type Value =
  | { readonly kind: 'load'; readonly node: Node; readonly access: Access; readonly axes: readonly Axis[] }
  | { readonly kind: 'constant'; readonly value: number; readonly axes: readonly Axis[] }
  | { readonly kind: 'instruction'; readonly name: InstructionName; readonly operands: readonly Value[]; readonly axes: readonly Axis[] };

/** A stored value, and its position in the root. */
export interface RootStore {
  readonly node: Node;
  readonly access: Access;
  readonly value: Value;
}

export class Values {
  private readonly known = new Map<string, Value>();
  private readonly names = new Map<Value, number>();

  load(node: Node, access: Access): Value {
    const along = access.dims.flatMap(dim => resolve(dim).terms.map(({ axis }) => axis));
    // A padded load also varies along the padded axes, between its values and the fill.
    const axes = [...new Set([...along, ...(access.padding?.windows ?? []).map(({ axis }) => axis)])];
    return this.once(`load ${node.id} ${accessKey(access)}`, { kind: 'load', node, access, axes });
  }

  constant(value: number): Value {
    return this.once(`constant ${Object.is(value, -0) ? '-0' : value}`, { kind: 'constant', value, axes: [] });
  }

  /** Applies an instruction to operands. @param without an axis that the instruction reduces */
  apply(name: InstructionName, operands: readonly Value[], without?: Axis): Value {
    const axes = [...new Set(operands.flatMap(operand => axesOf(operand)))].filter(axis => axis !== without);
    const key = `${name} ${operands.map(operand => this.names.get(operand)).join(' ')}`;
    return this.once(key, { kind: 'instruction', name, operands, axes });
  }

  private once(key: string, value: Value): Value {
    const found = this.known.get(key) ?? value;
    this.known.set(key, found);
    if (!this.names.has(found)) this.names.set(found, this.names.size);
    return found;
  }
}

/** Returns the axes that a value varies along, with cut axes replaced by their current parts. */
export const axesOf = (value: Value): readonly Axis[] => value.axes.flatMap(axis => axis.leaves);
