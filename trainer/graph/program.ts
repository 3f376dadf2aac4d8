/** A program: several signatures over one set of variables. An engine compiles programs. */
import { elementAt } from '../narrow.ts';
import { checkAliases } from './alias.ts';
import type { ComputedParts, Graph, Node, VariableSpec } from './graph.ts';
import { GraphError, type HostArray, sameShape } from './types.ts';

/** One entry point: its feeds, its outputs, and every node it needs, in execution order. */
export interface Signature {
  readonly feeds: readonly Node<'feed'>[];
  readonly outputs: Readonly<Record<string, Node>>;
  readonly schedule: readonly Node[];
  /** Number of devices that run it at the same time, each with its own feeds; sums cover all of them. One if omitted. */
  readonly replicas?: number;
  /** True if it reads weights in the host's memory as stored there, without the parts that are stored apart from them. */
  readonly readsBase?: true;
}

/** The place of a variable between its uses: the host's memory if a GPU computes, or a file. */
export type Place = 'host' | 'disk' | SeparatePart;

/**
 * A variable in the host's memory, except for the part that training changes: that part is the value of another variable, on the device,
 * rounded to the element type of this one. Writes of the part also write that variable, so nothing is written to the host.
 */
export interface SeparatePart {
  /** Kind of the part: rows, columns of a matrix, or elements in flat order. */
  readonly of: 'rows' | 'columns' | 'elements';
  /** int32 [count], the indices of the rows, columns or elements. */
  readonly chosen: VariableSpec;
  /** float32 [1, …]: [count, …] for rows, [out, count] for columns, [count] for elements. */
  readonly values: VariableSpec;
}

/** Returns the part that is stored apart from a variable in this place; undefined if there is none. */
export const separatePart = (place: Place | undefined): SeparatePart | undefined => (typeof place === 'object' ? place : undefined);

/** Returns whether a variable in this place is stored in the host's memory. */
export const isOnHost = (place: Place | undefined): boolean => place === 'host' || separatePart(place) !== undefined;

export interface Program {
  readonly variables: readonly VariableSpec[];
  /** The variables that are not stored where the engine computes, by name. */
  readonly places?: ReadonlyMap<string, Place>;
  readonly signatures: Readonly<Record<string, Signature>>;
}

/** The values of one variable, on their way into an engine; `zeros` needs no memory on the host. */
export interface VariableData {
  readonly name: string;
  readonly data: HostArray | 'zeros';
  /**
   * Called once `data` is no longer read, so that its memory can be reused. If it is never called, the garbage collector frees the memory.
   */
  readonly release?: (() => void) | undefined;
}

/** The result of a builder: a finished graph, its named outputs, and the effects that must run although nothing reads them. */
export interface Traced {
  readonly graph: Graph;
  readonly outputs: Readonly<Record<string, Node>>;
  readonly effects: readonly Node[];
  /**
   * Number of devices that run it at the same time, each with its own batch: see `Signature`. Taken from the parts of the graph if omitted.
   */
  readonly replicas?: number | undefined;
  /** See `Signature`. */
  readonly readsBase?: true;
}

/**
 * Drops everything that nothing requests, and joins the signatures over their variables.
 * @param declared variables that exist even if no signature uses them
 * @throws GraphError if two signatures disagree about a variable, or a value of a variable is used after an update of it
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
  // Inputs precede the nodes that read them, so one backward sweep finds everything.
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (needed[id]) for (const input of elementAt(graph.nodes, id).inputs) needed[input.id] = 1;
  }
  const schedule = graph.nodes.filter(node => needed[node.id]);
  const feeds = schedule.filter((node): node is Node<'feed'> => node.op === 'feed');
  return { feeds, outputs, schedule, ...(replicas !== undefined && { replicas }), ...(readsBase && { readsBase }) };
}

/**
 * Returns the number of devices that run the programs of a divided batch; undefined if one process computes one part or the whole batch.
 */
export const replicasOf = (parts: ComputedParts | undefined): number | undefined => (parts?.own === 'each' ? parts.count : undefined);
