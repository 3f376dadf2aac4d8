/** A decoder as data: what `DecoderConfig` describes is assembled from named parts, with Transformers' numbers (Touvron et al. 2023). */
import type { Node } from '../../graph/graph.ts';
import { type Activation, activations, swiglu } from '../layer/activation.ts';
import { type AttentionMask, attention, queryChunk } from '../layer/attention.ts';
import { type RopeScaling, type RotaryTables, ropeFrequencies, rotaryTables, rotaryTablesAt, rotate } from '../layer/rotary.ts';
import type { CausalModel, ModuleSpec, TokenInputs } from '../model-spec.ts';
import { embeddingSpec, linearSpec, moduleSpec, parametersOf } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';
import type { DecoderNames } from './decoder-names.ts';
import { withWindow } from './decoder-window.ts';

/** The sizes and parts of one model, read from its config.json by `decoder-families.ts`. */
export interface DecoderConfig {
  readonly family: string;
  readonly names: DecoderNames;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly blocks: number;
  readonly maxPositions: number;
  readonly attention: DecoderAttention;
  readonly mlp: { readonly intermediateSize: number; readonly activation: string; readonly biased: boolean };
  readonly positions: { readonly theta: number; readonly scaling: RopeScaling };
  /** Of all root-mean-square norms. */
  readonly epsilon: number;
  /** The head is the embedding. */
  readonly tied: boolean;
  /** The row of the embedding that padding has, which no gradient reaches. */
  readonly paddingRow: number | undefined;
}

export interface DecoderAttention {
  readonly heads: number;
  /** Neighboring heads share keys and values. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly biases: { readonly qkv: boolean; readonly output: boolean };
  /** Queries and keys of each head are normed before they are turned. */
  readonly headNorms: boolean;
  /** Of the probabilities, in training. */
  readonly dropout: number;
  /** How many keys each block's queries see, themselves among them; undefined: all before them. */
  readonly windows: readonly (number | undefined)[];
}

interface Block {
  readonly attentionNorm: ModuleSpec;
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
  readonly qNorm: ModuleSpec | undefined;
  readonly kNorm: ModuleSpec | undefined;
  readonly o: ModuleSpec;
  readonly mlpNorm: ModuleSpec;
  readonly gate: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

export function decoder(config: DecoderConfig): CausalModel {
  const { vocabularySize, hiddenSize, names, tied } = config;
  const blocks = Array.from({ length: config.blocks }, (_, layer) => blockOf(config, layer));
  const embedding = embeddingSpec(names.embedding, vocabularySize, hiddenSize, config.paddingRow);
  const finalNorm = moduleSpec(names.finalNorm, 'norm', { part: 'norm', layer: -1 }, [hiddenSize]);
  const head = tied ? embedding : linearSpec(names.head, { part: 'head', layer: -1 }, vocabularySize, hiddenSize, false);
  const modules = [embedding, ...blocks.flatMap(modulesOf), finalNorm, ...(tied ? [] : [head])];
  return {
    kind: 'causal',
    family: config.family,
    blocks: config.blocks,
    hiddenSize,
    vocabularySize,
    maxPositions: config.maxPositions,
    kvHeads: config.attention.kvHeads,
    headDim: config.attention.headDim,
    parameters: parametersOf(modules),
    modules,
    head,
    hidden: (tracer, inputs) => hidden(tracer, inputs, { config, blocks, embedding, finalNorm }),
  };
}

function blockOf(
  { names, hiddenSize, attention: { heads, kvHeads, headDim, biases, headNorms }, mlp }: DecoderConfig,
  layer: number,
): Block {
  const own = names.block(layer);
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const attends = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(name, { part: 'attention', layer }, out, width, biased);
  const feeds = (name: string, out: number, width: number) => linearSpec(name, { part: 'mlp', layer }, out, width, mlp.biased);
  const norm = (name: string, width: number) => moduleSpec(name, 'norm', { part: 'norm', layer }, [width]);
  return {
    attentionNorm: norm(own.attentionNorm, hiddenSize),
    q: attends(own.q, queries, hiddenSize, biases.qkv),
    k: attends(own.k, keys, hiddenSize, biases.qkv),
    v: attends(own.v, keys, hiddenSize, biases.qkv),
    qNorm: headNorms ? norm(own.qNorm, headDim) : undefined,
    kNorm: headNorms ? norm(own.kNorm, headDim) : undefined,
    o: attends(own.o, hiddenSize, queries, biases.output),
    mlpNorm: norm(own.mlpNorm, hiddenSize),
    gate: feeds(own.gate, mlp.intermediateSize, hiddenSize),
    up: feeds(own.up, mlp.intermediateSize, hiddenSize),
    down: feeds(own.down, hiddenSize, mlp.intermediateSize),
  };
}

/** In the order of the forward pass. */
const modulesOf = (b: Block): ModuleSpec[] =>
  [b.attentionNorm, b.q, b.k, b.v, b.qNorm, b.kNorm, b.o, b.mlpNorm, b.gate, b.up, b.down].filter(module => module !== undefined);

interface Parts {
  readonly config: DecoderConfig;
  readonly blocks: readonly Block[];
  readonly embedding: ModuleSpec;
  readonly finalNorm: ModuleSpec;
}

function hidden(tracer: Tracer, inputs: TokenInputs, { config, blocks, embedding, finalNorm }: Parts): Node {
  const { graph } = tracer;
  const { attention: settings, positions, epsilon } = config;
  const [batch, tokens] = inputs.ids.shape as [number, number];
  const frequencies = ropeFrequencies(settings.headDim, positions.theta, positions.scaling);
  const rotary = inputs.positions ? rotaryTablesAt(graph, frequencies, inputs.positions) : rotaryTables(graph, frequencies, tokens);
  const masks = masksOf(tracer, inputs, settings);
  let x = tracer.embedding(embedding, graph.reshape(inputs.ids, [batch * tokens]));
  blocks.forEach((block, layer) => {
    x = graph.checkpointed(x, () => {
      const normal = tracer.rmsNorm(block.attentionNorm, x, epsilon);
      const mask = masks[layer] as AttentionMask;
      const attended = attend(tracer, { config, block, layer, x: normal, batch, tokens, rotary, inputs: { ...inputs, mask } });
      const middle = graph.add(x, tracer.linear(block.o, attended));
      return graph.add(middle, mlp(tracer, config, block, tracer.rmsNorm(block.mlpNorm, middle, epsilon)));
    });
  });
  return tracer.rmsNorm(finalNorm, x, epsilon);
}

/** The mask of each block; blocks with the same window share one. */
function masksOf({ graph }: Tracer, inputs: TokenInputs, { windows }: DecoderAttention): AttentionMask[] {
  const tokens = inputs.ids.shape[1] as number;
  const known = new Map([...new Set(windows)].map(window => [window, withWindow(graph, inputs, tokens, window)]));
  return windows.map(window => known.get(window) as AttentionMask);
}

interface AttendParams {
  readonly config: DecoderConfig;
  readonly block: Block;
  readonly layer: number;
  readonly x: Node;
  readonly batch: number;
  readonly tokens: number;
  readonly rotary: RotaryTables;
  readonly inputs: TokenInputs;
}

/** Normalized x [batch · tokens, hidden] → the heads' outputs, [batch · tokens, heads · headDim]. */
function attend(tracer: Tracer, { config, block, layer, x, batch, tokens, rotary, inputs }: AttendParams): Node {
  const { graph } = tracer;
  const { heads, kvHeads, headDim, dropout } = config.attention;
  const byHead = (y: Node, count: number) => graph.transpose(graph.reshape(y, [batch, tokens, count, headDim]), [0, 2, 1, 3]);
  const normed = (y: Node, norm: ModuleSpec | undefined) =>
    norm
      ? tracer.rmsNorm(norm, graph.reshape(y, [(y.shape[0] as number) * ((y.shape[1] as number) / headDim), headDim]), config.epsilon)
      : y;
  const turned = (module: ModuleSpec, norm: ModuleSpec | undefined, count: number) =>
    tracer.keep(rotate(graph, byHead(normed(tracer.linear(module, x), norm), count), rotary));
  // Attention's gradient reads these forms, and no gradient reads the products that they come from.
  const q = turned(block.q, block.qNorm, heads);
  const ownK = turned(block.k, block.kNorm, kvHeads);
  const ownV = tracer.keep(byHead(tracer.linear(block.v, x), kvHeads));
  const { k, v } = inputs.cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  const out = attention(graph, {
    q,
    k,
    v,
    scale: headDim ** -0.5,
    mask: inputs.mask,
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(dropout),
    compute: tracer.compute,
  });
  return graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * headDim]);
}

function mlp(tracer: Tracer, config: DecoderConfig, block: Block, x: Node): Node {
  const gate = tracer.linear(block.gate, x);
  const up = tracer.linear(block.up, x);
  const activation = activations[config.mlp.activation] as Activation;
  const gated = activation === activations.silu ? swiglu(tracer.graph, gate, up) : tracer.graph.mul(activation(tracer.graph, gate), up);
  return tracer.linear(block.down, gated);
}
