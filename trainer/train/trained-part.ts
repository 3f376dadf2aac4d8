/** The numbers of a trainable where they are: rows or elements inside a variable, or all of it. */
import type { Graph, Node } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import type { Chosen, Trainable } from '../method/method.ts';

/** The variables of places that a trainable brings. */
export const placesOf = ({ rows, elements, cross }: Trainable): Chosen[] =>
  [rows, elements, cross?.rows, cross?.columns, cross?.places].filter(places => places !== undefined);

/** The places that are trained, where not all are. */
export const chosenOf = ({ rows, elements }: Trainable): Chosen | undefined => rows ?? elements;

const flat = (graph: Graph, x: Node): Node => graph.reshape(x, [elementCount(x.shape)]);

/** Its numbers, of the trainable's shape. */
export function readTrained(graph: Graph, { variable, rows, elements }: Trainable): Node {
  const value = graph.read(variable);
  if (rows) return graph.gather(value, graph.read(rows.variable));
  return elements ? graph.gather(flat(graph, value), graph.read(elements.variable)) : value;
}

/** The effect that puts `value`, of the trainable's shape, in their place. */
export function writeTrained(graph: Graph, { variable, rows, elements }: Trainable, value: Node): Node {
  graph.declare(variable);
  if (rows) return graph.updateRows(variable.name, graph.read(rows.variable), value);
  return elements ? graph.updateElements(variable.name, graph.read(elements.variable), value) : graph.assign(variable.name, value);
}

/**
 * The gradient of a trainable from what the backward pass gives for its variable: with rows that is theirs already, of single elements
 * it is the whole weight's, which is let go here, or that of rows and columns, where they are.
 */
export function trainedGradient(graph: Graph, { elements, cross }: Trainable, gradient: Node): Node {
  if (cross) return graph.gather(gradient, graph.read(cross.places.variable));
  return elements ? graph.gather(flat(graph, gradient), graph.read(elements.variable)) : gradient;
}

/** What of its variable's gradient the backward pass is asked for. */
export const gradientWish = (graph: Graph, { rows, cross }: Trainable): { rows?: Node; cross?: { rows: Node; columns: Node } } => ({
  rows: rows && graph.read(rows.variable),
  cross: cross && { rows: graph.read(cross.rows.variable), columns: graph.read(cross.columns.variable) },
});
