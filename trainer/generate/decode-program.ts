/** The inference programs: decoding with a key-value cache, and the logits of a whole sequence at once. */
import { Graph, type Node, type VariableSpec } from '../graph/graph.ts';
import { assemble, type Program, type Traced, type VariableData } from '../graph/program.ts';
import { byteSize } from '../graph/types.ts';
import { hostedBytes, hostedUntrained } from '../model/hosted-weights.ts';
import { seenUpTo } from '../model/layer/attention/seen-mask.ts';
import { headLogits, headNodes } from '../model/layer/loss/head-logits.ts';
import type { CausalModel, ImageInputs, KeyValueShape } from '../model/model-spec.ts';
import { type LinearHook, Tracer } from '../model/tracer.ts';
import { type ComputeType, FLOAT32_STORAGE, type WeightStorage, weightBytes } from '../model/weight-storage.ts';
import { elementAt, valueFor } from '../narrow.ts';
import { declareGrid, declareImages } from '../vision/image-feeds.ts';
import { stateVariables, traceStates } from './state-cache.ts';

/** Tokens per stretch of the prompt: enough to use the hardware well, and few enough to waste little on the last stretch. */
export const PREFILL_TOKENS = 64;
export const PREFILL = 'prefill';
export const DECODE = 'decode';
export const LOGITS = 'logits';

/** The smallest cache, so that short questions and answers share one program. */
const SMALLEST_CONTEXT = 256;

/** Size of the cache for this many tokens: a power of two, so that few programs are compiled, and at most the model's positions. */
export function contextBucket(tokens: number, maxPositions: number): number {
  let room = SMALLEST_CONTEXT;
  while (room < tokens) room *= 2;
  return Math.ceil(Math.min(room, Math.max(tokens, maxPositions)) / PREFILL_TOKENS) * PREFILL_TOKENS;
}

/** Size of the cache for a prompt of this many tokens and its answer, which ends at the model's last position at the latest. */
export const answerRoom = (prompt: number, newTokens: number, { maxPositions }: Pick<CausalModel, 'maxPositions'>): number =>
  contextBucket(Math.min(prompt + newTokens, maxPositions), maxPositions);

export interface InferenceProgramParams {
  readonly model: CausalModel;
  readonly linearHook?: LinearHook;
  /** How weights are stored; float32 by default. */
  readonly storage?: WeightStorage | undefined;
  /** decode: tokens that the cache holds per text, a multiple of PREFILL_TOKENS; logits: tokens of the sequence. */
  readonly tokens: number;
}

export interface DecodeProgramParams extends InferenceProgramParams {
  /** Number of texts in the cache, 1 by default. */
  readonly slots?: number;
  /** True if prompts may have images; only for models that read them. */
  readonly images?: boolean | undefined;
}

export interface InferenceBytes {
  /** Size of the weights as they are stored. */
  readonly weightBytes: number;
  /** Size of the weights that are in host memory. */
  readonly hostBytes: number;
  /** Size of keys, values and states of all slots. */
  readonly cacheBytes: number;
}

/**
 * @param hostFrom minimum size in bytes of the block weights kept in host memory; undefined if there are none
 * @param storage how weights are stored; float32 by default
 */
export function inferenceBytes(
  model: CausalModel,
  {
    tokens,
    slots,
    hostFrom,
    storage = FLOAT32_STORAGE,
  }: Pick<InferenceProgramParams, 'storage'> & { readonly tokens: number; readonly slots: number; readonly hostFrom: number | undefined },
): InferenceBytes {
  const hosted = hostedUntrained(model, storage, hostFrom);
  return {
    weightBytes: weightBytes(model, storage),
    hostBytes: hostedBytes(model, storage, hosted),
    cacheBytes: cacheVariables(model, { tokens, slots, storage }).reduce((bytes, spec) => bytes + byteSize(spec), 0),
  };
}

export interface CacheParams {
  /** Number of tokens per text. */
  readonly tokens: number;
  /** Number of texts, 1 by default. */
  readonly slots?: number;
  /** How weights are stored; float32 by default. */
  readonly storage?: WeightStorage | undefined;
}

/** Everything that is kept between steps: keys and values of blocks with attention, states of blocks with a state. */
export function cacheVariables(
  model: Pick<CausalModel, 'keyValues' | 'states'>,
  { tokens, slots = 1, storage = FLOAT32_STORAGE }: CacheParams,
): VariableSpec[] {
  const { compute } = storage;
  return [
    ...keyValueVariables(model, { tokens, slots, compute }).flatMap(({ k, v }) => [k, v]),
    ...[...stateVariables(model, { slots, compute }).values()].flatMap(({ recent, memory }) => (memory ? [recent, memory] : [recent])),
  ];
}

/** The cached keys and values of one block. */
interface CachedBlock extends Pick<KeyValueShape, 'kvHeads'> {
  readonly layer: number;
  readonly k: VariableSpec;
  readonly v: VariableSpec;
}

/**
 * The cached keys and values of each block that has them, [slots · kvHeads · tokens, headDim] and [slots · kvHeads · tokens, valueDim].
 * They are head-major: attention reads them without a copy, and a new token is one row per head. They have the type of products, to which
 * attention would round them.
 */
function keyValueVariables(
  { keyValues }: Pick<CausalModel, 'keyValues'>,
  { tokens, slots, compute }: { readonly tokens: number; readonly slots: number; readonly compute: ComputeType },
): CachedBlock[] {
  return keyValues.flatMap((own, layer) => {
    if (!own) return [];
    const { kvHeads, headDim, valueDim = headDim } = own;
    const rows = slots * kvHeads * tokens;
    const variable = (part: string, width: number): VariableSpec => ({
      name: `cache/${layer}/${part}`,
      shape: [rows, width],
      dtype: compute,
    });
    return [{ kvHeads, layer, k: variable('k', headDim), v: variable('v', valueDim) }];
  });
}

/** The numbers of texts that one step can continue: 1, 2, 4, … and all slots. Each has its own signature. */
export function decodeWidths(slots: number): number[] {
  const widths: number[] = [];
  for (let width = 1; width < slots; width *= 2) widths.push(width);
  return [...widths, slots];
}

export const decodeSignature = (width: number): string => (width === 1 ? DECODE : `${DECODE}_${width}`);

/**
 * The decoding program. Signature `prefill` reads a stretch of PREFILL_TOKENS tokens of one text, the one in slot `slot` (int32 [1], if
 * there are several). Feeds: ids and positions, int32 [1, PREFILL_TOKENS], with consecutive positions; `last`, int32 [1], the token whose
 * logits [1, vocabulary] are returned. The tokens after it are padding: a query attends to the keys up to its own position, and the next
 * stretch overwrites them.
 *
 * Signatures `decode`, `decode_2`, … read one token of each text in the first slots: ids and positions, int32 [width, 1] → logits [width,
 * vocabulary]. Each writes to the cache at its position, so a text that does not continue gets a position that is never read.
 *
 * If blocks have a state, a step also reads `continues`, int32 [width]: 1 for each text that continues, 0 for the others, whose state does
 * not change. With `images`, `prefill` also reads the feeds of `declareImages`, and the other signatures their `imageGrid`. If rotary frequencies depend on the text length, all signatures read `length`, int32 [1, 1] or [width, 1]: the tokens of each
 * whole text.
 */
export const decodeProgram = (params: DecodeProgramParams): Program => assemble(decodeTraces(params));

/** Number of tokens that `prefill` reads: more than usual for models that read an image at once. */
export const stretchTokens = ({
  model,
  images,
}: Pick<DecodeProgramParams, 'images'> & { readonly model: Pick<CausalModel, 'vision'> }): number =>
  images ? Math.ceil(Math.max(model.vision?.tokensPerImage ?? 0, 1) / PREFILL_TOKENS) * PREFILL_TOKENS : PREFILL_TOKENS;

/** The same signatures, for a program that also has others. */
export const decodeTraces = (params: DecodeProgramParams): Readonly<Record<string, Traced>> => ({
  [PREFILL]: traceCached(params, 1, stretchTokens(params)),
  ...Object.fromEntries(decodeWidths(params.slots ?? 1).map(width => [decodeSignature(width), traceCached(params, width, 1)])),
});

/** The initial values of the cache. */
export const emptyCache = (model: CausalModel, tokens: number, slots = 1): VariableData[] =>
  cacheVariables(model, { tokens, slots }).map(({ name }) => ({ name, data: 'zeros' as const }));

/** @param width number of texts that continue, with `tokens` tokens each */
function traceCached(
  { model, linearHook, storage = FLOAT32_STORAGE, tokens: keys, slots = 1, images = false }: DecodeProgramParams,
  width: number,
  tokens: number,
): Traced {
  const graph = new Graph();
  const { compute } = storage;
  const positions = graph.feed('positions', [width, tokens], 'int32');
  // A prompt stretch can belong to any slot; a decode step continues the first slots.
  const slot = tokens > 1 && slots > 1 ? graph.feed('slot', [1], 'int32') : undefined;
  const cached = new Map(keyValueVariables(model, { tokens: keys, slots, compute }).map(block => [block.layer, block]));
  const rowsOf = (kvHeads: number): Node => {
    const firsts = Int32Array.from({ length: (slot ? slots : width) * kvHeads }, (_, head) => head * keys);
    const ownFirsts = graph.constant(firsts, [firsts.length / kvHeads, kvHeads, 1], 'int32');
    const firstRows = slot ? graph.gather(ownFirsts, slot) : ownFirsts;
    return graph.reshape(graph.add(firstRows, graph.reshape(positions, [width, 1, tokens])), [width * kvHeads * tokens]);
  };
  const rows = new Map([...new Set([...cached.values()].map(({ kvHeads }) => kvHeads))].map(kvHeads => [kvHeads, rowsOf(kvHeads)]));
  const effects: Node[] = [];
  const remember = (variable: VariableSpec, { kvHeads }: CachedBlock, fresh: Node): Node => {
    const features = elementAt(variable.shape, 1);
    graph.declare(variable);
    const flat = graph.reshape(graph.cast(fresh, variable.dtype), [width * kvHeads * tokens, features]);
    effects.push(graph.updateRows(variable.name, valueFor(rows, kvHeads), flat));
    const all = graph.read(variable, 1);
    const ofSlot = () => (width < slots ? graph.sliceAxis(all, 0, 0, width * kvHeads * keys) : all);
    const seen = slot ? graph.gather(graph.reshape(all, [slots, kvHeads * keys * features]), slot) : ofSlot();
    return graph.cast(graph.reshape(seen, [width, kvHeads, keys, features]), 'float32');
  };
  const lastPlace = tokens > 1 ? graph.feed('last', [1], 'int32') : undefined;
  const counts = () => (lastPlace ? graph.add(lastPlace, 1) : graph.feed('continues', [width], 'int32'));
  const tracer = new Tracer({ graph, linearHook, storage });
  const ids = graph.feed('ids', [width, tokens], 'int32');
  const seen: ImageInputs | undefined = images
    ? tokens > 1
      ? declareImages(graph, model, ids)
      : declareGrid(graph, model, ids)
    : undefined;
  const hidden = model.hidden(tracer, {
    ids,
    ...(seen && { images: seen }),
    mask: { kind: 'bias', bias: seenUpTo(graph, positions, keys), causal: false },
    positions,
    ...(model.ropeRescaling && { length: graph.feed('length', [width, 1], 'int32') }),
    cache: (layer, k, v) => {
      const block = valueFor(cached, layer);
      return { k: remember(block.k, block, k), v: remember(block.v, block, v) };
    },
    ...(model.states && { states: traceStates(graph, { model, slots, compute, positions, counts: counts(), slot, effects }) }),
  });
  const last = lastPlace ? graph.gather(hidden, lastPlace) : hidden;
  const head = headNodes(tracer, model);
  return { graph, outputs: { logits: headLogits(graph, model, last, head) }, effects };
}

/** Signature `logits`: ids int32 [1, tokens] → logits [tokens, vocabulary]. */
export function logitsProgram({ model, linearHook, storage = FLOAT32_STORAGE, tokens }: InferenceProgramParams): Program {
  const graph = new Graph();
  const tracer = new Tracer({ graph, linearHook, storage });
  const hidden = model.hidden(tracer, { ids: graph.feed('ids', [1, tokens], 'int32'), mask: { kind: 'causal' } });
  const head = headNodes(tracer, model);
  return assemble({ [LOGITS]: { graph, outputs: { logits: headLogits(graph, model, hidden, head) }, effects: [] } });
}
