/** A program: several signatures over one set of variables. This is what an engine compiles. */
import { elementAt } from '../narrow.ts';
import { checkAliases } from './alias.ts';
import type { ComputedParts, Graph, Node, VariableSpec } from './graph.ts';
import { GraphError, type HostArray, sameShape } from './types.ts';

/** One entry point: what it is fed, what it gives, and every node it needs, in the order in which they run. */
export interface Signature {
  readonly feeds: readonly Node<'feed'>[];
  readonly outputs: Readonly<Record<string, Node>>;
  readonly schedule: readonly Node[];
  /** It runs on so many devices at the same time, each with feeds of its own, and sums over them. Left out: on one. */
  readonly replicas?: number;
  /** It reads weights in the host's memory as they are there, without the parts that lie apart from them. */
  readonly readsBase?: true;
}

/** The place of a variable between its uses: the host's memory when a GPU computes, or a file. */
export type Place = 'host' | 'disk' | PartApart;

/**
 * In the host's memory, but for the part that training changes: this is the numbers of another variable, on the device, rounded to the element
 * type of this one. Whoever writes the part writes that variable too, so nothing is written to the host.
 */
export interface PartApart {
  /** Rows, columns of a matrix, or elements in their flat order. */
  readonly of: 'rows' | 'columns' | 'elements';
  /** int32 [count], the numbers of the rows, columns or elements. */
  readonly chosen: VariableSpec;
  /** float32 [1, …]: [count, …] of rows, [out, count] of columns, [count] of elements. */
  readonly values: VariableSpec;
}

/** The part that lies apart from a variable in this place; undefined where none does. */
export const partApart = (place: Place | undefined): PartApart | undefined => (typeof place === 'object' ? place : undefined);

/** Whether a variable in this place lies in the host's memory. */
export const isOnHost = (place: Place | undefined): boolean => place === 'host' || partApart(place) !== undefined;

export interface Program {
  readonly variables: readonly VariableSpec[];
  /** The variables that do not lie where the engine computes, by name. */
  readonly places?: ReadonlyMap<string, Place>;
  readonly signatures: Readonly<Record<string, Signature>>;
}

/** The values of one variable, on their way into an engine; `zeros` needs no memory on this side. */
export interface VariableData {
  readonly name: string;
  readonly data: HostArray | 'zeros';
  /** Called once nobody reads `data` any more, so that its memory can be used again. Who never calls it leaves it to be collected. */
  readonly release?: (() => void) | undefined;
}

/** The result of a builder: a finished graph, its named outputs, and the effects that must happen though nobody reads them. */
export interface Traced {
  readonly graph: Graph;
  readonly outputs: Readonly<Record<string, Node>>;
  readonly effects: readonly Node[];
  /** It runs on so many devices at the same time, each with a batch of its own: see `Signature`. Left out: as the parts of the graph say. */
  readonly replicas?: number | undefined;
  /** See `Signature`. */
  readonly readsBase?: true;
}

/**
 * Drops what nothing asks for and joins the signatures over their variables.
 * @param declared variables that are there though no signature may use them
 * @throws GraphError when two signatures disagree about a variable, or a value of a variable is used after an update of it
 */
export function assemble(traces: Readonly<Record<string, Traced>>, declared: readonly VariableSpec[] = []): Program {
  const variables = new Map(declared.map(variable => [variable.name, variable]));
  const signatures: Record<string, Signature> = {};
  for (const [name, trace] of Object.entries(traces)) {
    for (const variable of trace.graph.variables.values()) {
      const known = variables.get(variable.name);
      if (known && !(sameShape(known.shape, variable.shape) && known.dtype === variable.dtype))
        throw new GraphError(`variable ${variable.name} has two shapes: [${known.shape}] and [${variable.shape}] (in ${name})`);
      variables.set(variable.name, variable);
    }
    const signature = toSignature(trace);
    checkAliases(name, signature.schedule);
    signatures[name] = signature;
  }
  return { variables: [...variables.values()], signatures };
}

function toSignature({ graph, outputs, effects, replicas = replicasOf(graph.parts), readsBase }: Traced): Signature {
  const needed = new Uint8Array(graph.nodes.length);
  for (const node of [...Object.values(outputs), ...effects]) needed[node.id] = 1;
  // Inputs stand before the nodes that read them, so one sweep from the end finds all.
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (needed[id]) for (const input of elementAt(graph.nodes, id).inputs) needed[input.id] = 1;
  }
  const schedule = graph.nodes.filter(node => needed[node.id]);
  const feeds = schedule.filter((node): node is Node<'feed'> => node.op === 'feed');
  return { feeds, outputs, schedule, ...(replicas !== undefined && { replicas }), ...(readsBase && { readsBase }) };
}

/** The devices that run the programs of a batch in parts; undefined where one process computes one part, or the whole. */
export const replicasOf = (parts: ComputedParts | undefined): number | undefined => (parts?.own === 'each' ? parts.count : undefined);
