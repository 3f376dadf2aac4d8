/** The recurrent states of blocks, kept in variables from one inference step to the next. */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import type { CausalModel, LayerState, StateCache, StateShape } from '../model/model-spec.ts';
import type { ComputeType } from '../model/weight-storage.ts';
import { valueFor } from '../narrow.ts';

interface CachedState {
  readonly shape: StateShape;
  readonly recent: VariableSpec;
  readonly memory: VariableSpec | undefined;
}

/**
 * The variables for the state of each block that has one, with one row per slot. As in Transformers, the last tokens have the type of
 * products; the memory adds up over the whole text and is float32.
 */
export const stateVariables = (
  { states }: Pick<CausalModel, 'states'>,
  { slots, compute }: { readonly slots: number; readonly compute: ComputeType },
): ReadonlyMap<number, CachedState> =>
  new Map(
    [...(states ?? [])].map(([layer, shape]) => {
      const variable = (part: keyof StateShape, own: readonly number[], dtype: ComputeType): VariableSpec => ({
        name: `cache/${layer}/${part}`,
        shape: [slots, elementCount(own)],
        dtype,
      });
      const memory = shape.memory && variable('memory', shape.memory, 'float32');
      return [layer, { shape, recent: variable('recent', shape.recent, compute), memory }];
    }),
  );

export interface TraceStatesParams {
  readonly model: Pick<CausalModel, 'states'>;
  readonly slots: number;
  readonly compute: ComputeType;
  /** int32 [width, tokens]: positions of the tokens read of each text. A text starts at position 0. */
  readonly positions: Node;
  /** int32 [width]: see `StateCache`. */
  readonly counts: Node;
  /** int32 [1], the slot of the single text that is read; if undefined, the texts in the first slots are read. */
  readonly slot: Node | undefined;
  /** Receives the write effects. */
  readonly effects: Node[];
}

export function traceStates(graph: Graph, { model, slots, compute, positions, counts, slot, effects }: TraceStatesParams): StateCache {
  const variables = stateVariables(model, { slots, compute });
  const width = positions.shape[0] as number;
  const rows = slot ?? graph.counting([width]);
  const begins = graph.equal(graph.sliceAxis(positions, 1, 0, 1), 0);
  const read = (variable: VariableSpec, shape: readonly number[]): Node => {
    const all = graph.read(variable);
    const own = slot ? graph.gather(all, slot) : graph.sliceAxis(all, 0, 0, width);
    return graph.reshape(graph.select(begins, graph.scalar(0), graph.cast(own, 'float32')), [width, ...shape]);
  };
  const write = (variable: VariableSpec, value: Node): void => {
    const flat = graph.reshape(value, [width, variable.shape[1] as number]);
    effects.push(graph.updateRows(variable.name, rows, graph.cast(flat, variable.dtype)));
  };
  return {
    counts,
    read: (layer): LayerState => {
      const { shape, recent, memory } = valueFor(variables, layer);
      return { recent: read(recent, shape.recent), memory: memory && shape.memory && read(memory, shape.memory) };
    },
    write: (layer, state) => {
      const { recent, memory } = valueFor(variables, layer);
      write(recent, state.recent);
      if (memory && state.memory) write(memory, state.memory);
    },
  };
}
