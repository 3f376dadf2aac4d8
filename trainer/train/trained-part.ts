/** The values of a trainable in place: rows, columns or elements inside a variable, or all of it. */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import { type Chosen, chosenOf, type Trainable } from '../method/method.ts';
import { atLeast } from '../narrow.ts';

/** The chosen indices of all trainables, each variable once: several trainables may share one. */
export function chosenElements(trainables: readonly Trainable[]): Chosen[] {
  const all = trainables.flatMap(({ rows, columns, elements, cross }) => [
    rows,
    columns,
    elements,
    cross?.rows,
    cross?.columns,
    cross?.places,
  ]);
  const present = all.filter(places => places !== undefined);
  return [...new Map(present.map(chosen => [chosen.variable.name, chosen])).values()];
}

const flat = (graph: Graph, x: Node): Node => graph.reshape(x, [elementCount(x.shape)]);

/** The trained values in float32, in the trainable's shape. */
export function readTrained(graph: Graph, { variable, rows, columns, elements, master, shape }: Trainable): Node {
  if (master) return graph.reshape(graph.read(master), shape);
  const value = graph.read(variable);
  if (rows) return graph.gather(value, graph.read(rows.variable));
  if (columns) return graph.gather(value, graph.read(columns.variable), 1);
  return elements ? graph.gather(flat(graph, value), graph.read(elements.variable)) : value;
}

/** The effect that writes `value`, float32 in the trainable's shape, in place. */
export function writeTrained(graph: Graph, trainable: Trainable, value: Node): Node {
  const { variable, master } = trainable;
  graph.declare(variable);
  const write = writeRounded(graph, trainable, graph.cast(value, variable.dtype));
  if (!master) return write;
  graph.declare(master);
  const keep = chosenOf(trainable)
    ? graph.updateRows(master.name, graph.constant(Int32Array.of(0), [1], 'int32'), graph.reshape(value, master.shape))
    : graph.assign(master.name, value);
  return graph.group([write, keep]);
}

function writeRounded(graph: Graph, { variable, rows, columns, elements }: Trainable, value: Node): Node {
  if (rows) return graph.updateRows(variable.name, graph.read(rows.variable), value);
  if (columns) return graph.updateColumns(variable.name, atLeast(variable.shape, 2)[1], graph.read(columns.variable), value);
  return elements ? graph.updateElements(variable.name, graph.read(elements.variable), value) : graph.assign(variable.name, value);
}

/** The variable to write when a whole variable is trained. */
export const homeOf = ({ variable, master }: Trainable): VariableSpec => master ?? variable;

/** Effects that copy rows [begin, begin + count) of the master to the variable; `version` is that of a read after the update. */
export function followMaster(
  graph: Graph,
  { variable, master }: Trainable,
  { begin, count, version }: { readonly begin: number; readonly count: number; readonly version: number },
): Node[] {
  if (!master) return [];
  graph.declare(variable);
  const moved = graph.sliceAxis(graph.read(master, version), 0, begin, count);
  return [graph.updateRows(variable.name, rowRange(graph, begin, count), graph.cast(moved, variable.dtype))];
}

/** begin, begin + 1, … as int32 [count]. */
export const rowRange = (graph: Graph, begin: number, count: number): Node =>
  graph.constant(
    Int32Array.from({ length: count }, (_, row) => begin + row),
    [count],
    'int32',
  );

/**
 * The gradient of a trainable, from what the backward pass computes for its variable. For rows or columns, that is already theirs. For
 * single elements, it is gathered from that of the whole weight, which is then freed, or from that of rows and columns if they have a
 * `cross`.
 */
export function trainedGradient(graph: Graph, { elements, cross }: Trainable, gradient: Node): Node {
  const places = cross?.places ?? elements;
  const own = places ? graph.gather(cross ? gradient : flat(graph, gradient), graph.read(places.variable)) : gradient;
  return graph.cast(own, 'float32');
}

/** The part of its variable's gradient that the backward pass computes. */
export const gradientRequest = (
  graph: Graph,
  { rows, columns, cross }: Trainable,
): { rows?: Node; columns?: Node; cross?: { rows: Node; columns: Node } } => ({
  rows: rows && graph.read(rows.variable),
  columns: columns && graph.read(columns.variable),
  cross: cross && { rows: graph.read(cross.rows.variable), columns: graph.read(cross.columns.variable) },
});
