/** Turns values into a program: chooses the row axis and the axes that count rows, and assigns memory positions and registers. */
import { elementAt, lastOf, valueFor } from '../../narrow.ts';
import type { Node } from '../graph.ts';
import { elementCount } from '../types.ts';
import { type Axis, type AxisWindow, resolve, strides } from './access.ts';
import { NotComputableError } from './must-be-read.ts';
import {
  type Instruction,
  type Load,
  type RegisterKind,
  ROW_PROGRAM_LIMITS,
  type RowAccess,
  type RowProgram,
  type Store,
} from './row-program.ts';
import { axesOf, type RootStore, type Value } from './values.ts';

interface Frame {
  readonly walked: readonly Axis[];
  /** Present if an operation works on whole rows. */
  readonly column: Axis | undefined;
}

const LARGEST_NUMBER = 2 ** 31 - 1;

/** A run of axes that is counted as one. */
interface Counted {
  readonly size: number;
  /** The innermost axis, whose stride is the stride of the whole run. */
  readonly axis: Axis;
}

export function layOut(stores: readonly RootStore[], { walked, column }: Frame): RowProgram {
  const first = elementAt(stores, 0);
  const order = topological(stores.map(({ value }) => value));
  const whole = walked.flatMap(axis => axis.leaves);
  const reduces = order.some(value => value.kind === 'instruction' && (value.name === 'sum' || value.name === 'max'));
  const along = reduces ? column : whole.at(-1);
  const lead = whole.filter(axis => axis !== along);
  const loads = order.filter(value => value.kind === 'load');
  const places = new Map([...loads, ...stores].map(each => [each, strides(each.access)] as const));
  const windows = new Map(loads.map(load => [load, windowsOf(load, first.node)] as const));
  const all = new Set<Axis>([...lead, ...(along ? [along] : [])]);
  for (const { along: used } of places.values())
    for (const axis of used.keys()) if (!all.has(axis)) throw new NotComputableError(first.node);
  for (const store of stores) checkCovers(store, stores.filter(({ node }) => node === store.node).length, { lead, along });

  const kinds = new Map(order.map(value => [value, kindOf(value, along)] as const));
  const windowed = new Set([...windows.values()].flatMap(list => list.map(({ axis }) => axis)));
  if (along && windowed.has(along)) throw new NotComputableError(first.node);
  const strideOf = (place: { along: ReadonlyMap<Axis, number> }, axis: Axis): number => place.along.get(axis) ?? 0;
  const joins = (outer: Axis, inner: Counted): boolean =>
    !windowed.has(outer) &&
    !windowed.has(inner.axis) &&
    outer.size * inner.size <= LARGEST_NUMBER &&
    [...places.values()].every(place => strideOf(place, outer) === strideOf(place, inner.axis) * inner.size);
  const counted = merge(lead, joins);
  let row: Counted | undefined = along && { size: along.size, axis: along };
  // Rows that are adjacent in every tensor form one long row, as long as no value has one element per row.
  while (row && !reduces && ![...kinds.values()].includes('row') && counted.length > 0) {
    const outer = lastOf(counted);
    const inner: Counted = row;
    const follows = [...places.values()].every(place => strideOf(place, outer.axis) === strideOf(place, inner.axis) * inner.size);
    if (!follows || windowed.has(outer.axis) || outer.size * inner.size > LARGEST_NUMBER) break;
    counted.pop();
    row = { size: outer.size * inner.size, axis: inner.axis };
  }
  if (counted.length > ROW_PROGRAM_LIMITS.leadAxes || order.length > ROW_PROGRAM_LIMITS.instructions)
    throw new NotComputableError(first.node);

  const registers = allocate(order, stores, kinds);
  if (registers.kinds.filter(kind => kind === 'full').length > ROW_PROGRAM_LIMITS.fullRegisters) throw new NotComputableError(first.node);
  const accessOf = (each: Extract<Value, { kind: 'load' }> | RootStore, value: Value): RowAccess => {
    const place = valueFor(places, each);
    const numbers = {
      offset: place.offset,
      column: row ? strideOf(place, row.axis) : 0,
      lead: counted.map(({ axis }) => strideOf(place, axis)),
    };
    if ([numbers.offset, numbers.column, ...numbers.lead].some(number => Math.abs(number) > LARGEST_NUMBER))
      throw new NotComputableError(first.node);
    return { register: valueFor(registers.of, value), ...numbers };
  };
  const toLoad = (load: Extract<Value, { kind: 'load' }>): Load => ({
    ...accessOf(load, load),
    node: load.node,
    windows: (windows.get(load) ?? []).map(({ axis, low, high }) => ({ axis: counted.findIndex(each => each.axis === axis), low, high })),
    fill: load.access.padding?.value ?? 0,
  });
  const program = {
    columns: row?.size ?? 1,
    lead: counted.map(({ size }) => size),
    reduces,
    registers: registers.kinds,
    constants: order.flatMap(value => (value.kind === 'constant' ? [{ register: valueFor(registers.of, value), value: value.value }] : [])),
    loads: loads.map(toLoad),
    instructions: order.flatMap((value): Instruction[] =>
      value.kind === 'instruction'
        ? [
            {
              name: value.name,
              target: valueFor(registers.of, value),
              operands: value.operands.map(operand => valueFor(registers.of, operand)),
            },
          ]
        : [],
    ),
    stores: stores.map((store): Store => ({ ...accessOf(store, store.value), node: store.node })),
  };
  return { ...program, takesOver: takeovers(program) };
}

/** Returns the values in topological order: operands before the values computed from them. */
function topological(roots: readonly Value[]): Value[] {
  const order = new Set<Value>();
  const visit = (value: Value): void => {
    if (order.has(value)) return;
    if (value.kind === 'instruction') value.operands.forEach(visit);
    order.add(value);
  };
  roots.forEach(visit);
  return [...order];
}

function kindOf(value: Value, column: Axis | undefined): RegisterKind {
  const axes = axesOf(value);
  return column && axes.includes(column) ? 'full' : axes.length > 0 ? 'row' : 'scalar';
}

/** Checks that every stored element is written, and by exactly one row. */
function checkCovers(
  { node, access, value }: RootStore,
  parts: number,
  { lead, along }: { readonly lead: readonly Axis[]; readonly along: Axis | undefined },
): void {
  const used = new Set(access.dims.flatMap(dim => resolve(dim).terms.map(({ axis }) => axis)));
  const count = [...used].reduce((product, { size }) => product * size, parts);
  const isFull = along !== undefined && used.has(along);
  const everyRow = lead.every(axis => used.has(axis));
  const needsColumn = along !== undefined && axesOf(value).includes(along) && !isFull;
  if (!everyRow || needsColumn || access.padding !== undefined || count !== elementCount(node.shape)) throw new NotComputableError(node);
}

/** Returns the windows of a padded load that contain real rows. */
function windowsOf({ access }: Extract<Value, { kind: 'load' }>, root: Node): readonly AxisWindow[] {
  const windows = access.padding?.windows ?? [];
  if (windows.some(({ axis }) => !axis.isWhole)) throw new NotComputableError(root);
  return windows;
}

function merge(lead: readonly Axis[], joins: (outer: Axis, inner: Counted) => boolean): Counted[] {
  const counted: Counted[] = [];
  for (const axis of [...lead].reverse()) {
    const inner = counted[0];
    if (inner && joins(axis, inner)) counted[0] = { size: inner.size * axis.size, axis: inner.axis };
    else counted.unshift({ size: axis.size, axis });
  }
  return counted;
}

/** Allocates registers. A register is reused after the last read of its value; loads, constants and stored values keep their own. */
function allocate(
  order: readonly Value[],
  stores: readonly RootStore[],
  kinds: ReadonlyMap<Value, RegisterKind>,
): { readonly of: ReadonlyMap<Value, number>; readonly kinds: readonly RegisterKind[] } {
  const lastUse = new Map<Value, number>();
  order.forEach((value, i) => {
    if (value.kind === 'instruction') for (const operand of value.operands) lastUse.set(operand, i);
  });
  const pinned = new Set<Value>([...stores.map(({ value }) => value), ...order.filter(({ kind }) => kind !== 'instruction')]);
  const of = new Map<Value, number>();
  const made: RegisterKind[] = [];
  const free: Record<RegisterKind, number[]> = { full: [], row: [], scalar: [] };
  order.forEach((value, i) => {
    const kind = valueFor(kinds, value);
    const register = (pinned.has(value) ? undefined : free[kind].pop()) ?? made.push(kind) - 1;
    of.set(value, register);
    if (value.kind !== 'instruction') return;
    for (const operand of new Set(value.operands))
      if (lastUse.get(operand) === i && !pinned.has(operand)) free[valueFor(kinds, operand)].push(valueFor(of, operand));
  });
  return { of, kinds: made };
}

/**
 * Finds the inputs whose buffers each output may take over. The input must be read only once, because the kernel processes rows in chunks
 * and long rows in parts, and reads shared values again for each.
 */
function takeovers({ loads, stores, registers }: Pick<RowProgram, 'loads' | 'stores' | 'registers'>): Map<Node, Node[]> {
  const same = (a: RowAccess, b: RowAccess): boolean =>
    a.offset === b.offset && a.column === b.column && a.lead.every((stride, i) => stride === b.lead[i]);
  const found = new Map<Node, Node[]>();
  for (const store of stores) {
    const alone = stores.filter(({ node }) => node === store.node).length === 1;
    const fits = (load: Load): boolean =>
      load.windows.length === 0 &&
      load.node.dtype === store.node.dtype &&
      elementCount(load.node.shape) === elementCount(store.node.shape) &&
      registers[load.register] === 'full' &&
      registers[store.register] === 'full' &&
      // Another store may write the loaded value unchanged.
      stores.every(other => other.node === store.node || other.register !== load.register) &&
      same(load, store) &&
      loads.filter(({ node }) => node === load.node).length === 1;
    found.set(store.node, alone ? loads.filter(fits).map(({ node }) => node) : []);
  }
  return found;
}
