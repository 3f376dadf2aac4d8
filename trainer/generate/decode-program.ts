/** The programs of inference: decoding with a key-value cache, and the logits of a whole sequence at once. */
import { Graph, type Node, type VariableSpec } from '../graph/graph.ts';
import { assemble, type Program, type Traced, type VariableData } from '../graph/program.ts';
import { HIDDEN } from '../model/layer/attention.ts';
import { headLogits } from '../model/layer/head-logits.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { type LinearHook, Tracer } from '../model/tracer.ts';
import type { WeightStorage } from '../model/weight-storage.ts';

/** Takes a stretch of the prompt: many tokens fill the products, few are wasted on the last stretch. */
export const PREFILL_TOKENS = 64;
export const PREFILL = 'prefill';
export const DECODE = 'decode';
export const LOGITS = 'logits';

/** The smallest cache: short questions and answers share one program. */
const SMALLEST_CONTEXT = 256;

/** Room in the cache for so many tokens: a power of two, so that few programs are ever compiled, and never more than the model's positions. */
export function contextBucket(tokens: number, maxPositions: number): number {
  let room = SMALLEST_CONTEXT;
  while (room < tokens) room *= 2;
  return Math.ceil(Math.min(room, Math.max(tokens, maxPositions)) / PREFILL_TOKENS) * PREFILL_TOKENS;
}

/** Room for a prompt of so many tokens and its answer, which ends at the model's last position. */
export const answerRoom = (prompt: number, newTokens: number, { maxPositions }: Pick<CausalModel, 'maxPositions'>): number =>
  contextBucket(Math.min(prompt + newTokens, maxPositions), maxPositions);

export interface InferenceProgramParams {
  readonly model: CausalModel;
  readonly linearHook?: LinearHook;
  /** How weights are held; float32 if left out. */
  readonly storage?: WeightStorage | undefined;
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
export const decodeProgram = (params: InferenceProgramParams): Program => assemble(decodeTraces(params));

/** The same signatures, for a program that has others too. */
export const decodeTraces = (params: InferenceProgramParams): Readonly<Record<string, Traced>> => ({
  [PREFILL]: traceCached(params, PREFILL_TOKENS),
  [DECODE]: traceCached(params, 1),
});

/** The start values of the cache. */
export const emptyCache = (model: CausalModel, tokens: number): VariableData[] =>
  cacheVariables(model, tokens).flatMap(({ k, v }) => [k, v].map(({ name }) => ({ name, data: 'zeros' as const })));

function traceCached({ model, linearHook, storage, tokens: keys }: InferenceProgramParams, tokens: number): Traced {
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
  const tracer = new Tracer({ graph, linearHook, ...(storage && { storage }) });
  const hidden = model.hidden(tracer, {
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
  const head = tracer.factor(model.head.weight);
  return { graph, outputs: { logits: headLogits(graph, model, graph.cast(last, head.dtype), head) }, effects };
}

/** Signature `logits`: ids int32 [1, tokens] → logits [tokens, vocabulary]. */
export function logitsProgram({ model, linearHook, tokens }: InferenceProgramParams): Program {
  const graph = new Graph();
  const hidden = model.hidden(new Tracer({ graph, linearHook }), {
    ids: graph.feed('ids', [1, tokens], 'int32'),
    mask: { kind: 'causal' },
  });
  const head = graph.read({ ...model.head.weight, dtype: 'float32' });
  return assemble({ [LOGITS]: { graph, outputs: { logits: headLogits(graph, model, hidden, head) }, effects: [] } });
}
