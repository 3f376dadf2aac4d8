/**
 * Vision transformers: ViT (Dosovitskiy et al. 2021), DeiT with its distillation token (Touvron et al. 2021), DINOv2 (Oquab et al. 2023)
 * and DINOv3 (Siméoni et al. 2025), and the vision tower of SigLIP (Zhai et al. 2023). They differ in the tokens before the patches, in how
 * patches get their positions, and in what the head reads.
 */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import { type GridSize, resizeGrid } from '../../layer/positions/resize-grid.ts';
import type { RotaryTables } from '../../layer/positions/rotary.ts';
import { type GridAugment, gridRotaryTables } from '../../layer/positions/rotary-grid.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import {
  type BiasedSpec,
  type ConvSpec,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  parameterSpec,
  parametersOf,
  patchSpec,
} from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { attendToAll, type ImageBlock, type ImageBlockConfig, imageBlock, imageBlockModules, runImageBlock } from './image-block.ts';
import { pixelsOf } from './image-input.ts';
import type { VitNames } from './vit-names.ts';

/** The sizes and switches of one model. */
export interface VitConfig extends Labels, ImageBlockConfig {
  readonly family: string;
  readonly names: VitNames;
  /** Height and width in pixels. */
  readonly image: readonly [number, number];
  /** True if it has positions for images of any size. */
  readonly isResizable: boolean;
  readonly patch: readonly [number, number];
  readonly channels: number;
  /** The number of tokens before the patches, for each name. */
  readonly tokens: readonly number[];
  readonly positions: TablePositions | RotaryPositions;
  readonly pooling: Pooling;
  /** Dropout of patches and first tokens after their positions are added. */
  readonly embeddingDropout: number;
  readonly blocks: number;
}

export interface TablePositions {
  readonly kind: 'table';
  /** The grid of patches that the table was made for. */
  readonly grid: GridSize;
  /** Number of tokens with an entry before those of the patches; the tokens after them have none. */
  readonly firsts: number;
  /** The table's shape in the file. */
  readonly shape: readonly number[];
  readonly antialias: boolean;
}

export interface RotaryPositions {
  readonly kind: 'rotary';
  readonly theta: number;
  readonly augment: GridAugment;
}

/**
 * first: each first token that has a head, averaging their logits; first-and-mean: the first token's state and the mean of the patches';
 * mean: the mean of all.
 */
export type Pooling = 'first' | 'first-and-mean' | 'mean';

interface Parts {
  readonly config: VitConfig;
  readonly patches: ConvSpec;
  readonly tokens: readonly ModuleSpec[];
  readonly positions: ModuleSpec | undefined;
  readonly blocks: readonly ImageBlock[];
  readonly finalNorm: BiasedSpec;
  readonly heads: readonly ModuleSpec[];
}

export const gridOf = (image: GridSize, patch: GridSize): GridSize => [Math.floor(image[0] / patch[0]), Math.floor(image[1] / patch[1])];

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

export function vit(config: VitConfig): ClassifierModel {
  const { hiddenSize, names, labels, problem, image, channels, positions, pooling } = config;
  const read = pooling === 'first-and-mean' ? 2 * hiddenSize : hiddenSize;
  const head = (name: string) => headSpec(linearSpec(name, { part: 'head', layer: -1 }, labels.length, read), config.fresh);
  const parts: Parts = {
    config,
    patches: patchSpec(names.patches, channels, hiddenSize, config.patch),
    tokens: config.tokens.flatMap((count, i) => (count > 0 ? [parameterSpec(elementAt(names.tokens, i), [1, count, hiddenSize])] : [])),
    positions: positions.kind === 'table' ? parameterSpec(names.positions, positions.shape) : undefined,
    blocks: Array.from({ length: config.blocks }, (_, layer) => imageBlock(config, layer, names.block(layer))),
    finalNorm: layerNormSpec(names.finalNorm, -1, hiddenSize),
    heads: names.heads.map(head),
  };
  const table = parts.positions ? [parts.positions] : [];
  const modules = [parts.patches, ...parts.tokens, ...table, ...parts.blocks.flatMap(imageBlockModules), parts.finalNorm, ...parts.heads];
  return {
    kind: 'classifier',
    family: config.family,
    blocks: config.blocks,
    hiddenSize,
    parameters: parametersOf(modules),
    modules,
    input: { kind: 'image', height: image[0], width: image[1], channels, resizable: config.isResizable },
    labels,
    problem,
    heads: parts.heads,
    logits: (tracer, batch) => logits(tracer, pixelsOf(batch), parts),
  };
}

/** The first tokens followed by the patches, each with its position: [batch, tokens, hiddenSize]. */
function embed(tracer: Tracer, pixels: Node, { config, patches, tokens, positions }: Parts): Node {
  const { graph } = tracer;
  const cut = tracer.conv(patches, pixels);
  const [batch, down, across, width] = dimensions(cut.shape, 4);
  const firsts = tokens.map(({ weight }) => graph.broadcast(tracer.parameter(weight), [batch, weight.shape[1] as number, width]));
  const all = graph.concat([...firsts, graph.reshape(cut, [batch, down * across, width])], 1);
  const { positions: kind } = config;
  const placed =
    positions && kind.kind === 'table'
      ? graph.add(all, tableOf(tracer, config, kind, positions, [down, across], all.shape[1] as number))
      : all;
  return tracer.dropout(placed, config.embeddingDropout);
}

/** The positions of all tokens, [1, tokens, hiddenSize]; 0 for tokens without one. */
function tableOf(
  tracer: Tracer,
  { hiddenSize }: VitConfig,
  { grid, firsts, antialias }: TablePositions,
  { weight }: ModuleSpec,
  to: GridSize,
  tokens: number,
): Node {
  const { graph } = tracer;
  const patches = to[0] * to[1];
  const own = tracer.parameter(weight);
  const isSame = grid[0] === to[0] && grid[1] === to[1];
  if (isSame && firsts + patches === tokens) return graph.reshape(own, [1, tokens, hiddenSize]);
  const flat = graph.reshape(own, [firsts + grid[0] * grid[1], hiddenSize]);
  const ofPatches = graph.sliceAxis(flat, 0, firsts, grid[0] * grid[1]);
  const resized = isSame ? ofPatches : resizeGrid(graph, ofPatches, { from: grid, to, antialias });
  const between = tokens - firsts - patches;
  const all = [
    ...(firsts > 0 ? [graph.sliceAxis(flat, 0, 0, firsts)] : []),
    ...(between > 0 ? [graph.zeros([between, hiddenSize])] : []),
    resized,
  ];
  return graph.reshape(graph.concat(all, 0), [1, tokens, hiddenSize]);
}

function rotaryOf(tracer: Tracer, { config }: Parts): RotaryTables | undefined {
  const { positions, image, patch, hiddenSize, heads, tokens } = config;
  if (positions.kind !== 'rotary') return undefined;
  const { theta, augment } = positions;
  return gridRotaryTables(tracer, { grid: gridOf(image, patch), headDim: hiddenSize / heads, theta, firsts: sum(tokens), augment });
}

/** The output of the blocks, before the last norm: [batch, tokens, hiddenSize]. */
function stream(tracer: Tracer, pixels: Node, parts: Parts): Node {
  const { graph } = tracer;
  const embedded = embed(tracer, pixels, parts);
  const [batch, tokens, width] = dimensions(embedded.shape, 3);
  const rotary = rotaryOf(tracer, parts);
  let x = graph.reshape(embedded, [batch * tokens, width]);
  for (const block of parts.blocks) x = graph.checkpointed(x, () => run(tracer, parts.config, block, x, batch, rotary));
  return graph.reshape(x, [batch, tokens, width]);
}

function run(tracer: Tracer, config: VitConfig, block: ImageBlock, x: Node, batch: number, rotary: RotaryTables | undefined): Node {
  return runImageBlock(tracer, config, block, x, batch, normal => attendToAll(tracer, config, block, normal, batch, rotary));
}

/** Applies the last norm to x [batch, tokens, hiddenSize]. */
function normal(tracer: Tracer, x: Node, { config, finalNorm }: Parts): Node {
  const [batch, tokens, width] = dimensions(x.shape, 3);
  return tracer.graph.reshape(tracer.layerNorm(finalNorm, tracer.graph.reshape(x, [batch * tokens, width]), config.epsilon), x.shape);
}

/** The final states of the first `count` tokens, each [batch, hiddenSize]; the last norm is applied only to these. */
function firstStates(tracer: Tracer, x: Node, parts: Parts, count: number): Node[] {
  const { graph } = tracer;
  const [batch, , width] = dimensions(x.shape, 3);
  const states = normal(tracer, graph.sliceAxis(x, 1, 0, count), parts);
  return Array.from({ length: count }, (_, i) => graph.reshape(graph.sliceAxis(states, 1, i, 1), [batch, width]));
}

function logits(tracer: Tracer, pixels: Node, parts: Parts): Node {
  const { graph } = tracer;
  const { config, heads } = parts;
  const x = stream(tracer, pixels, parts);
  if (config.pooling === 'first') {
    const states = firstStates(tracer, x, parts, heads.length);
    const answers = heads.map((head, i) => tracer.linear(head, elementAt(states, i)));
    return graph.mul(
      answers.reduce((a, b) => graph.add(a, b)),
      1 / answers.length,
    );
  }
  const head = elementAt(heads, 0);
  const states = normal(tracer, x, parts);
  if (config.pooling === 'mean') return tracer.linear(head, graph.mean(states, [1]));
  const [batch, tokens, width] = dimensions(states.shape, 3);
  const first = graph.reshape(graph.sliceAxis(states, 1, 0, 1), [batch, width]);
  const firsts = sum(config.tokens);
  return tracer.linear(head, graph.concat([first, graph.mean(graph.sliceAxis(states, 1, firsts, tokens - firsts), [1])], 1));
}
