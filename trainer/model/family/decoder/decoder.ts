/**
 * A decoder as data: assembles the model that `DecoderConfig` describes from named parts, matching Transformers' outputs (Touvron et al.
 * 2023).
 */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt, required, valueFor } from '../../../narrow.ts';
import type { AttentionMask } from '../../layer/attention/attention.ts';
import { withinDistance } from '../../layer/attention/local-mask.ts';
import { addPositions, addPositionsAt } from '../../layer/positions/learned.ts';
import { type Positions, rescaleLength, ropeFrequenciesAt, rotaryTablesOf } from '../../layer/positions/rope-scaling.ts';
import { type RotaryTables, rotaryTablesAt, rotaryTablesOnGrid } from '../../layer/positions/rotary.ts';
import type { CausalModel, StateShape, TokenInputs } from '../../model-spec.ts';
import { embeddingSpec, headBiasSpec, linearSpec, type ModuleSpec, parametersOf } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { type StreamEnds, streamEnds, streamModules, traceEnd, traceStreams } from './blocks/alt-up.ts';
import type { KeyValues, RotaryInput } from './blocks/attention.ts';
import { attends, type Block, blockOf, buffersOf, modulesOf, traceBlock } from './blocks/block.ts';
import { recentTokens } from './blocks/convolution.ts';
import type { DecoderConfig } from './blocks/decoder-config.ts';
import { stateShape } from './blocks/delta.ts';
import { withDeepstack, withImages, withinImages, withoutPlaceholders } from './blocks/images.ts';
import { type LayerInputs, layerInputModules, layerInputs, traceLayerInputs } from './blocks/layer-inputs.ts';
import { mambaState } from './blocks/mamba.ts';
import { multiplierFor } from './blocks/multiplier.ts';
import { type Norm, normed, normModules, normOf } from './blocks/norms.ts';
import { withWindow } from './blocks/window.ts';
import { headLayerModules, headLayersOf, traceHeadLayers } from './head-layers.ts';

export function decoder(config: DecoderConfig): CausalModel {
  const { vocabularySize, hiddenSize, names, tied } = config;
  const inFiles = names.inFiles ?? (module => module);
  const blocks = Array.from({ length: config.blocks }, (_, layer) => blockOf(config, layer));
  const embedding = inFiles(embeddingSpec(names.embedding, vocabularySize, hiddenSize, config.paddingRow));
  const positions = names.positions === undefined ? undefined : inFiles(embeddingSpec(names.positions, config.maxPositions, hiddenSize));
  const norm = (name: string): Exclude<Norm, undefined> => {
    const own = normOf(config, name, -1);
    return own === 'without weight' ? own : inFiles(own);
  };
  const embeddingNorm = names.embeddingNorm === undefined ? undefined : norm(names.embeddingNorm);
  const finalNorm = norm(names.finalNorm);
  const ownHead = linearSpec(names.head, { part: 'head', layer: -1 }, vocabularySize, hiddenSize, config.headBias);
  const head = tied ? embedding : { ...ownHead, ...(names.headInMemory !== undefined && { inMemory: names.headInMemory }) };
  const headBias = tied && config.headBias ? headBiasSpec(names.head, vocabularySize) : undefined;
  const layers = headLayersOf(config, 'lm_head');
  const blockInputs = layerInputs(config);
  const streams = streamEnds(config);
  const modules = [
    embedding,
    ...(positions ? [positions] : []),
    ...normModules(embeddingNorm),
    ...(blockInputs ? layerInputModules(blockInputs) : []),
    ...(streams ? streamModules(streams) : []),
    ...blocks.flatMap(modulesOf).map(inFiles),
    ...normModules(finalNorm),
    ...(layers ? headLayerModules(layers) : []),
    ...(tied ? [] : [head]),
    ...(headBias ? [headBias] : []),
  ];
  const parts = { config, blocks, embedding, positions, embeddingNorm, finalNorm, blockInputs, streams };
  const lastStates: CausalModel['hidden'] = (tracer, inputs) => hidden(tracer, inputs, parts);
  return {
    kind: 'causal',
    family: config.family,
    blocks: config.blocks,
    hiddenSize,
    vocabularySize,
    maxPositions: config.maxPositions,
    keyValues: keyValuesOf(config),
    states: statesOf(config),
    parameters: [...parametersOf(modules), ...blocks.flatMap(buffersOf)],
    modules,
    head,
    ...(headBias && { headBias }),
    ...(layers && { headLayers: { modules: headLayerModules(layers), before: lastStates } }),
    logitCap: config.logitCap,
    ...(config.attention.isBidirectional && { isBidirectional: true }),
    ropeRescaling: rescalingOf(config.positions),
    vision: config.vision,
    ...(config.textTokens !== undefined && { textTokens: config.textTokens }),
    ...(config.remark !== undefined && { remark: config.remark }),
    hidden: layers ? (tracer, inputs) => traceHeadLayers(tracer, config, layers, lastStates(tracer, inputs)) : lastStates,
  };
}

/** The cached keys and values; blocks without attention, and those that read the keys and values of others, cache none. */
const keyValuesOf = (config: DecoderConfig): CausalModel['keyValues'] =>
  config.attention.layers.map(({ kvHeads, headDim, valueDim, keysFrom }, layer) =>
    attends(config, layer) && keysFrom === undefined ? { kvHeads, headDim, valueDim } : undefined,
  );

function stateOf({ delta, convolution, mamba, hiddenSize }: DecoderConfig, layer: number): StateShape | undefined {
  if (delta?.layers[layer]) return stateShape(delta);
  if (mamba?.layers[layer]) return mambaState(mamba);
  return convolution?.layers[layer] ? recentTokens(convolution, hiddenSize) : undefined;
}

function statesOf(config: DecoderConfig): CausalModel['states'] {
  const states = new Map(
    config.attention.layers.flatMap((_, layer): [number, StateShape][] => {
      const shape = stateOf(config, layer);
      return shape ? [[layer, shape]] : [];
    }),
  );
  return states.size > 0 ? states : undefined;
}

interface Parts {
  readonly config: DecoderConfig;
  readonly blocks: readonly Block[];
  readonly embedding: ModuleSpec;
  /** The table of learned positions, in families with one. */
  readonly positions: ModuleSpec | undefined;
  /** The norm of the embeddings, in families with one. */
  readonly embeddingNorm: Norm;
  readonly finalNorm: Norm;
  /** The modules that compute the inputs of the blocks, if blocks have inputs. */
  readonly blockInputs: LayerInputs | undefined;
  /** The layers at both ends of the streams, in families with several. */
  readonly streams: StreamEnds | undefined;
}

function hidden(tracer: Tracer, inputs: TokenInputs, parts: Parts): Node {
  const { graph } = tracer;
  const { config, blocks, embedding, positions, embeddingNorm, finalNorm, blockInputs, streams } = parts;
  const [batch, tokens] = dimensions(inputs.ids.shape, 2);
  const rotary = rotaryInputs(tracer, inputs, config.positions);
  const masks = masksOf(tracer, inputs, config);
  const ids = withoutPlaceholders(graph, graph.reshape(inputs.ids, [batch * tokens]), config);
  const scaled = graph.mul(tracer.embedding(embedding, ids), multiplierFor(tracer, config.embeddingMultiplier));
  const words = withImages(graph, scaled, inputs.images);
  const at = inputs.positions;
  const placed = (table: ModuleSpec): Node =>
    at ? addPositionsAt(tracer, table, words, at) : addPositions(tracer, table, words, { batch, tokens, first: 0 });
  const embedded = positions ? placed(positions) : words;
  const ofBlocks = blockInputs && traceLayerInputs(tracer, blockInputs, config, ids, embedded);
  const start = tracer.dropout(normed(tracer, config, embeddingNorm, embedded), config.embeddingDropout);
  let x = streams ? traceStreams(tracer, streams, start) : start;
  const shared = new Map<number, KeyValues>();
  blocks.forEach((block, layer) => {
    const mask = elementAt(masks, layer);
    const params = {
      config,
      block,
      layer,
      batch,
      tokens,
      rotary: rotary[layer],
      mask,
      cache: inputs.cache,
      shared,
      inputs,
      blockInputs: ofBlocks,
    };
    x = graph.checkpointed(x, () => withDeepstack(graph, traceBlock(tracer, x, params), inputs.images, layer));
  });
  const last = streams ? traceEnd(tracer, streams, x) : x;
  return graph.mul(normed(tracer, config, finalNorm, last), config.logitMultiplier);
}

/** How each block rotates; blocks with the same positions share their tables. */
function rotaryInputs(
  { graph }: Tracer,
  { ids, positions: at, length, images }: TokenInputs,
  positions: DecoderConfig['positions'],
): (RotaryInput | undefined)[] {
  const tokens = ids.shape[1] as number;
  let counted: Node | undefined;
  // As in Transformers, the longest text of a batch determines the frequencies for all, unless each text has its own length.
  const longest = (): Node =>
    (counted ??= graph.cast(length ?? graph.add(graph.max(required(at, 'the positions of the tokens'), [0, 1], true), 1), 'float32'));
  const tablesOf = (own: Positions): RotaryTables => {
    const frequencies = () => ropeFrequenciesAt(graph, own, longest);
    if (images?.grid && own.axes) return rotaryTablesOnGrid(graph, frequencies(), images.grid, own.axes, own.factor);
    return at ? rotaryTablesAt(graph, frequencies(), at, own.factor) : rotaryTablesOf(graph, own, tokens);
  };
  const inputOf = (own: Positions): RotaryInput => ({ tables: tablesOf(own), growth: growthOf(graph, own, tokens, at) });
  const known = new Map([...new Set(positions)].map(own => [own, own && inputOf(own)]));
  return positions.map(own => known.get(own));
}

/** The factor of queries, [tokens, 1] or [batch, 1, tokens, 1]; undefined without a growth factor. */
function growthOf(graph: Graph, { growth }: Positions, tokens: number, at: Node | undefined): Node | undefined {
  if (!growth) return undefined;
  const { beta, span } = growth;
  if (!at) {
    if (tokens <= span) return undefined;
    return graph.constant(
      Float32Array.from({ length: tokens }, (_, i) => 1 + beta * Math.log1p(Math.floor(i / span))),
      [tokens, 1],
      'float32',
    );
  }
  const spans = graph.floor(graph.div(graph.cast(graph.reshape(at, [at.shape[0] as number, 1, tokens, 1]), 'float32'), span));
  return graph.add(graph.mul(graph.log(graph.add(spans, 1)), beta), 1);
}

/** The length beyond which a text is rotated differently, and whether its earlier tokens are then read again. */
function rescalingOf(positions: DecoderConfig['positions']): CausalModel['ropeRescaling'] {
  const own = positions.find(each => each !== undefined && rescaleLength(each) !== undefined);
  const length = own && rescaleLength(own);
  return length === undefined ? undefined : { length, isReread: own?.scaling.type === 'longrope' };
}

/** The mask of each block; blocks with the same window share one. */
function masksOf(tracer: Tracer, inputs: TokenInputs, { attention, vision }: DecoderConfig): AttentionMask[] {
  const { layers, isBidirectional } = attention;
  const tokens = inputs.ids.shape[1] as number;
  const windows = layers.map(({ window }) => window);
  const within = withinImages(tracer.graph, inputs);
  const maskOf = (window: number | undefined): AttentionMask => {
    const mask = window === undefined && vision?.attendsWithin === 'windowed' ? inputs.mask : within;
    return isBidirectional && mask.kind === 'bias' && window !== undefined
      ? withinDistance(tracer, mask, tokens, window - 1)
      : withWindow(tracer.graph, { ...inputs, mask }, tokens, window);
  };
  const known = new Map([...new Set(windows)].map(window => [window, maskOf(window)]));
  return windows.map(window => valueFor(known, window));
}
