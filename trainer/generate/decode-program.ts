/** The programs of inference: decoding with a key-value cache, and the logits of a whole sequence at once. */
import { Graph, type Node, type VariableSpec } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import { HIDDEN } from '../model/layer/attention.ts';
import { headLogits } from '../model/layer/head-logits.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { type LinearHook, Tracer } from '../model/tracer.ts';

/** Takes a stretch of the prompt: many tokens fill the products, few are wasted on the last stretch. */
export const PREFILL_TOKENS = 64;
export const PREFILL = 'prefill';
export const DECODE = 'decode';
export const LOGITS = 'logits';

export interface InferenceProgramParams {
  readonly model: CausalModel;
  readonly linearHook?: LinearHook;
  /** decode: the tokens that the cache holds, a multiple of PREFILL_TOKENS; logits: the tokens of the sequence. */
  readonly tokens: number;
}

/**
 * The cached keys and values of one block, [kvHeads · tokens, headDim]: head-major, so that attention reads them without a copy, while a
 * new token is one row a head.
 */
export function cacheVariables(model: CausalModel, tokens: number): { readonly k: VariableSpec; readonly v: VariableSpec }[] {
  const shape = [model.kvHeads * tokens, model.headDim];
  const variable = (layer: number, part: string): VariableSpec => ({ name: `cache/${layer}/${part}`, shape, dtype: 'float32' });
  return Array.from({ length: model.blocks }, (_, layer) => ({ k: variable(layer, 'k'), v: variable(layer, 'v') }));
}

/**
 * Signatures `prefill` (PREFILL_TOKENS at a time) and `decode` (one token). Feeds: ids and positions, int32 [1, n], the positions
 * following each other; `last`, int32 [1], the token of these whose logits [1, vocabulary] come out. Tokens beyond it fill up: a query
 * sees the keys up to its own position, and the next stretch writes over them. Where long texts are turned otherwise, also `length`, int32
 * [1, 1]: the tokens of the whole text.
 */
export const decodeProgram = (params: InferenceProgramParams): Program =>
  assemble({ [PREFILL]: traceCached(params, PREFILL_TOKENS), [DECODE]: traceCached(params, 1) });

function traceCached({ model, linearHook, tokens: keys }: InferenceProgramParams, tokens: number): Traced {
  const graph = new Graph();
  const positions = graph.feed('positions', [1, tokens], 'int32');
  const variables = cacheVariables(model, keys);
  const firstRows = graph.constant(
    Int32Array.from({ length: model.kvHeads }, (_, head) => head * keys),
    [model.kvHeads, 1],
    'int32',
  );
  const rows = graph.reshape(graph.add(firstRows, positions), [model.kvHeads * tokens]);
  const effects: Node[] = [];
  const remember = (variable: VariableSpec, fresh: Node): Node => {
    graph.declare(variable);
    effects.push(graph.updateRows(variable.name, rows, graph.reshape(fresh, [model.kvHeads * tokens, model.headDim])));
    return graph.reshape(graph.read(variable, 1), [1, model.kvHeads, keys, model.headDim]);
  };
  const keyPositions = graph.constant(
    Int32Array.from({ length: keys }, (_, i) => i),
    [1, 1, keys],
    'int32',
  );
  const isSeen = graph.greaterEqual(graph.reshape(positions, [1, tokens, 1]), keyPositions);
  const hidden = model.hidden(new Tracer({ graph, linearHook }), {
    ids: graph.feed('ids', [1, tokens], 'int32'),
    mask: { kind: 'bias', bias: graph.select(isSeen, graph.scalar(0), graph.scalar(HIDDEN)), causal: false },
    positions,
    ...(model.turning && { length: graph.feed('length', [1, 1], 'int32') }),
    cache: (layer, k, v) => {
      const variable = variables[layer];
      if (!variable) throw new RangeError(`the model has no block ${layer}`);
      return { k: remember(variable.k, k), v: remember(variable.v, v) };
    },
  });
  const last = graph.gather(hidden, graph.feed('last', [1], 'int32'));
  return { graph, outputs: { logits: logitsOf(graph, model, last) }, effects };
}

/** Signature `logits`: ids int32 [1, tokens] → logits [tokens, vocabulary]. */
export function logitsProgram({ model, linearHook, tokens }: InferenceProgramParams): Program {
  const graph = new Graph();
  const hidden = model.hidden(new Tracer({ graph, linearHook }), {
    ids: graph.feed('ids', [1, tokens], 'int32'),
    mask: { kind: 'causal' },
  });
  return assemble({ [LOGITS]: { graph, outputs: { logits: logitsOf(graph, model, hidden) }, effects: [] } });
}

const logitsOf = (graph: Graph, model: CausalModel, hidden: Node): Node =>
  headLogits(graph, model, hidden, graph.read({ ...model.head.weight, dtype: 'float32' }));
