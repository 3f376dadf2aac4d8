/**
 * The tower of a vision transformer: patches with their positions, blocks, and a last norm. Families differ in the tokens before the patches
 * and in how patches get their positions.
 */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import { type GridSize, resizeGrid } from '../../layer/positions/resize-grid.ts';
import type { RotaryTables } from '../../layer/positions/rotary.ts';
import { type GridAugment, gridRotaryTables } from '../../layer/positions/rotary-grid.ts';
import { type BiasedSpec, type ConvSpec, layerNormSpec, type ModuleSpec, parameterSpec, patchSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import {
  attendToAll,
  type PreNormBlock,
  type PreNormConfig,
  preNormBlock,
  preNormModules,
  runPreNormBlock,
  withModules,
} from '../pre-norm-block.ts';
import type { TowerNames } from './vit-names.ts';

/** The sizes and switches of one tower. */
export interface TowerConfig extends PreNormConfig {
  readonly names: TowerNames;
  /** Height and width in pixels. */
  readonly image: readonly [number, number];
  readonly patch: readonly [number, number];
  readonly channels: number;
  /** The number of tokens before the patches, for each name. */
  readonly tokens: readonly number[];
  readonly positions: TablePositions | RotaryPositions;
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
  /** How the table is resized for another grid. */
  readonly antialias: boolean;
  /** The entry of each patch, for towers that look positions up instead of resizing a table; it has no entries of first tokens then. */
  readonly entries?: readonly number[] | undefined;
}

export interface RotaryPositions {
  readonly kind: 'rotary';
  readonly theta: number;
  readonly augment: GridAugment;
}

export interface Tower {
  readonly config: TowerConfig;
  readonly patches: ConvSpec;
  readonly tokens: readonly ModuleSpec[];
  readonly positions: ModuleSpec | undefined;
  readonly blocks: readonly PreNormBlock[];
  readonly finalNorm: BiasedSpec;
  /** All of these, in the order of the forward pass. */
  readonly modules: readonly ModuleSpec[];
}

export const gridOf = (image: GridSize, patch: GridSize): GridSize => [Math.floor(image[0] / patch[0]), Math.floor(image[1] / patch[1])];

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

/** The number of tokens before the patches. */
export const firstTokens = ({ tokens }: TowerConfig): number => sum(tokens);

export function towerOf(config: TowerConfig): Tower {
  const { hiddenSize, names, channels, positions: kind } = config;
  const { inFiles = module => module } = names;
  const patches = inFiles(patchSpec(names.patches, channels, hiddenSize, config.patch));
  const tokens = config.tokens.flatMap((count, i) =>
    count > 0 ? [inFiles(parameterSpec(elementAt(names.tokens, i), [1, count, hiddenSize]))] : [],
  );
  const positions = kind.kind === 'table' ? inFiles(parameterSpec(names.positions, kind.shape)) : undefined;
  const blocks = Array.from({ length: config.blocks }, (_, layer) => withModules(preNormBlock(config, layer, names.block(layer)), inFiles));
  const finalNorm = inFiles(layerNormSpec(names.finalNorm, -1, hiddenSize));
  const modules = [patches, ...tokens, ...(positions ? [positions] : []), ...blocks.flatMap(preNormModules), finalNorm];
  return { config, patches, tokens, positions, blocks, finalNorm, modules };
}

/** The first tokens followed by the patches, each with its position: [batch, tokens, hiddenSize]. */
function embed(tracer: Tracer, pixels: Node, { config, patches, tokens, positions }: Tower): Node {
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
  { hiddenSize }: TowerConfig,
  { grid, firsts, antialias, entries }: TablePositions,
  { weight }: ModuleSpec,
  to: GridSize,
  tokens: number,
): Node {
  const { graph } = tracer;
  const patches = to[0] * to[1];
  const own = tracer.parameter(weight);
  if (entries)
    return graph.reshape(graph.gather(own, graph.constant(Int32Array.from(entries), [tokens], 'int32')), [1, tokens, hiddenSize]);
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

function rotaryOf(tracer: Tracer, { config }: Tower): RotaryTables | undefined {
  const { positions, image, patch, hiddenSize, heads } = config;
  if (positions.kind !== 'rotary') return undefined;
  const { theta, augment } = positions;
  return gridRotaryTables(tracer, { grid: gridOf(image, patch), headDim: hiddenSize / heads, theta, firsts: firstTokens(config), augment });
}

/** The output of the blocks, before the last norm: [batch, tokens, hiddenSize]. */
export function towerStream(tracer: Tracer, pixels: Node, tower: Tower): Node {
  const { graph } = tracer;
  const embedded = embed(tracer, pixels, tower);
  const [batch, tokens, width] = dimensions(embedded.shape, 3);
  const rotary = rotaryOf(tracer, tower);
  let x = graph.reshape(embedded, [batch * tokens, width]);
  for (const block of tower.blocks) x = graph.checkpointed(x, () => run(tracer, tower.config, block, x, batch, rotary));
  return graph.reshape(x, [batch, tokens, width]);
}

function run(tracer: Tracer, config: TowerConfig, block: PreNormBlock, x: Node, batch: number, rotary: RotaryTables | undefined): Node {
  return runPreNormBlock(tracer, config, block, x, batch, normal => attendToAll(tracer, config, block, normal, batch, rotary));
}

/** Applies the last norm to x [batch, tokens, hiddenSize]. */
export function lastNorm(tracer: Tracer, x: Node, { config, finalNorm }: Tower): Node {
  const [batch, tokens, width] = dimensions(x.shape, 3);
  return tracer.graph.reshape(tracer.layerNorm(finalNorm, tracer.graph.reshape(x, [batch * tokens, width]), config.epsilon), x.shape);
}
