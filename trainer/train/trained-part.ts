/** The numbers of a trainable where they are: rows or elements inside a variable, or all of it. */
import type { Graph, Node } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import type { Chosen, Trainable } from '../method/method.ts';

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
 * it is the whole weight's, which is let go here.
 */
export const trainedGradient = (graph: Graph, { elements }: Trainable, gradient: Node): Node =>
  elements ? graph.gather(flat(graph, gradient), graph.read(elements.variable)) : gradient;
