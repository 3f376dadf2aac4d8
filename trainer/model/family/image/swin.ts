/** Swin transformers (Liu et al. 2021): attention within windows, shifted in every second block, and stages that halve the image. */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';
import { attend } from '../../layer/attention/self-attention.ts';
import { fromWindows, relativeRows, toWindows, type WindowParams, windowMask } from '../../layer/attention/windows.ts';
import type { GridSize } from '../../layer/positions/resize-grid.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import {
  type BiasedSpec,
  type ConvSpec,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  parameterSpec,
  patchSpec,
} from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { type PreNormBlock, type PreNormConfig, preNormBlock, preNormModules, projections, runPreNormBlock } from '../pre-norm-block.ts';
import { imageClassifier } from './image-input.ts';
import type { SwinNames } from './swin-names.ts';

/** The sizes and switches of one model. */
export interface SwinConfig extends Labels {
  readonly names: SwinNames;
  /** Height and width in pixels. */
  readonly image: readonly [number, number];
  /** True if it takes images of any size. timm's windows depend on the image size. */
  readonly isResizable: boolean;
  readonly patch: readonly [number, number];
  readonly channels: number;
  /** Side of a window, in places. */
  readonly window: number;
  readonly hasPositions: boolean;
  readonly stages: readonly SwinStage[];
  readonly epsilon: number;
  readonly embeddingDropout: number;
}

export interface SwinStage {
  readonly blocks: readonly PreNormConfig[];
}

interface Block {
  readonly config: PreNormConfig;
  readonly modules: PreNormBlock;
  /** The bias of each head for two places, by their relative position, [(2 · window − 1)², heads]. */
  readonly relative: ModuleSpec;
  readonly windows: WindowParams;
}

interface Stage {
  readonly grid: GridSize;
  readonly blocks: readonly Block[];
  readonly merging: { readonly norm: BiasedSpec; readonly reduction: ModuleSpec } | undefined;
}

interface Parts {
  readonly config: SwinConfig;
  readonly patches: ConvSpec;
  readonly patchNorm: BiasedSpec;
  readonly positions: ModuleSpec | undefined;
  readonly stages: readonly Stage[];
  readonly finalNorm: BiasedSpec;
  readonly head: ModuleSpec;
}

/** PyTorch's default, for the norms of patches and of merged patches. */
const EPSILON = 1e-5;

/** The grid of each stage: each except the first has half as many places along both axes, rounded up. */
export function gridsOf({ image, patch, stages }: Pick<SwinConfig, 'image' | 'patch' | 'stages'>): GridSize[] {
  const first: GridSize = [Math.ceil(image[0] / patch[0]), Math.ceil(image[1] / patch[1])];
  return stages.map((_, s) => [Math.ceil(first[0] / 2 ** s), Math.ceil(first[1] / 2 ** s)]);
}

export function swin(config: SwinConfig): ClassifierModel {
  const { names, labels, channels, patch } = config;
  const width = config.stages[0]?.blocks[0]?.hiddenSize ?? 0;
  const last = config.stages.at(-1)?.blocks[0]?.hiddenSize ?? 0;
  const grids = gridsOf(config);
  const parts: Parts = {
    config,
    patches: patchSpec(names.patches, channels, width, patch),
    patchNorm: layerNormSpec(names.patchNorm, -1, width),
    positions: config.hasPositions ? parameterSpec(names.positions, [1, (grids[0]?.[0] ?? 0) * (grids[0]?.[1] ?? 0), width]) : undefined,
    stages: stagesOf(config, grids),
    finalNorm: layerNormSpec(names.finalNorm, -1, last),
    head: headSpec(linearSpec(names.head, { part: 'head', layer: -1 }, labels.length, last), config.fresh),
  };
  const inStages = parts.stages.flatMap(({ blocks, merging }): ModuleSpec[] => [
    ...blocks.flatMap(({ modules, relative }) => [relative, ...preNormModules(modules)]),
    ...(merging ? [merging.norm, merging.reduction] : []),
  ]);
  const table = parts.positions ? [parts.positions] : [];
  const modules = [parts.patches, parts.patchNorm, ...table, ...inStages, parts.finalNorm, parts.head];
  return imageClassifier(config, {
    family: 'swin',
    blocks: parts.stages.reduce((sum, { blocks }) => sum + blocks.length, 0),
    hiddenSize: last,
    modules,
    head: parts.head,
    resizable: config.isResizable,
    features: (tracer, pixels) => features(tracer, pixels, parts),
  });
}

/** The stages with their blocks. Blocks are numbered across stages; a merging layer belongs to the block before it. */
function stagesOf({ names, stages, window }: SwinConfig, grids: readonly GridSize[]): Stage[] {
  let number = 0;
  return stages.map((stage, s) => {
    const grid = elementAt(grids, s);
    const blocks = stage.blocks.map((config, b): Block => {
      const layer = number++;
      const own = names.block(s, b);
      return {
        config,
        modules: preNormBlock(config, layer, own),
        relative: { ...parameterSpec(own.relative, [(2 * window - 1) ** 2, config.heads]), part: 'attention', layer },
        // A window that covers a whole axis cannot be shifted.
        windows: { grid, size: window, shift: b % 2 === 1 && Math.min(...grid) > window ? Math.floor(window / 2) : 0 },
      };
    });
    const width = stage.blocks[0]?.hiddenSize ?? 0;
    const next = stages[s + 1]?.blocks[0]?.hiddenSize;
    const merge = names.merging(s);
    const layer = number - 1;
    return {
      grid,
      blocks,
      merging:
        next === undefined
          ? undefined
          : {
              norm: layerNormSpec(merge.norm, layer, 4 * width),
              reduction: linearSpec(merge.reduction, { part: 'mlp', layer }, next, 4 * width, false),
            },
    };
  });
}

/** The input of the head, the mean over all places: [batch, features]. */
function features(tracer: Tracer, pixels: Node, parts: Parts): Node {
  const { graph } = tracer;
  const { config, stages } = parts;
  let x = embed(tracer, pixels, parts);
  const batch = pixels.shape[0] as number;
  for (const { grid, blocks, merging } of stages) {
    for (const block of blocks) x = graph.checkpointed(x, () => runBlock(tracer, block, x, batch));
    if (merging) x = graph.checkpointed(x, () => merge(tracer, merging, x, batch, grid));
  }
  const [rows, width] = dimensions(x.shape, 2);
  const states = tracer.layerNorm(parts.finalNorm, x, config.epsilon);
  return graph.mean(graph.reshape(states, [batch, rows / batch, width]), [1]);
}

/** The embedded patches, padded with zeros where the last ones reach over the edge: [batch · places, features]. */
function embed(tracer: Tracer, pixels: Node, { config, patches, patchNorm, positions }: Parts): Node {
  const { graph } = tracer;
  const [batch, height, width] = dimensions(pixels.shape, 4);
  const over = [height, width].map((side, i) => Math.ceil(side / (config.patch[i] as number)) * (config.patch[i] as number) - side);
  const cut = tracer.conv(patches, graph.pad(pixels, [0, 0, 0, 0], [0, over[0] as number, over[1] as number, 0]));
  const [, down, across, size] = dimensions(cut.shape, 4);
  const normal = tracer.layerNorm(patchNorm, graph.reshape(cut, [batch * down * across, size]), EPSILON);
  const placed = positions
    ? graph.reshape(graph.add(graph.reshape(normal, [batch, down * across, size]), tracer.parameter(positions.weight)), normal.shape)
    : normal;
  return tracer.dropout(placed, config.embeddingDropout);
}

/** x [batch · places, features] → the same. */
function runBlock(tracer: Tracer, { config, modules, relative, windows }: Block, x: Node, batch: number): Node {
  const { graph } = tracer;
  const { grid, size } = windows;
  const { heads, hiddenSize } = config;
  return runPreNormBlock(tracer, config, modules, x, batch, normal => {
    const rows = toWindows(graph, graph.reshape(normal, [batch, ...grid, hiddenSize]), windows);
    const places = size ** 2;
    const count = (rows.shape[0] as number) / places;
    const [q, k, v] = projections(tracer, config, modules, rows, count);
    const pairs = graph.constant(relativeRows(size), [places ** 2], 'int32');
    const byHead = graph.transpose(graph.gather(tracer.parameter(relative.weight), pairs), [1, 0]);
    const scores = graph.broadcast(graph.reshape(byHead, [1, heads, places, places]), [count, heads, places, places]);
    const scale = (hiddenSize / heads) ** -0.5;
    const attended = attend(tracer, { q, k, v, scale, scores, mask: windowMask(graph, batch, windows), dropout: config.attentionDropout });
    return graph.reshape(fromWindows(graph, tracer.linear(modules.o, attended), batch, windows), x.shape);
  });
}

/** Merges four places into one: x [batch · places, features] → [batch · places / 4, next stage's features]. */
function merge(tracer: Tracer, { norm, reduction }: NonNullable<Stage['merging']>, x: Node, batch: number, grid: GridSize): Node {
  const { graph } = tracer;
  const features = x.shape[1] as number;
  const [down, across] = [Math.ceil(grid[0] / 2), Math.ceil(grid[1] / 2)];
  const even = graph.pad(graph.reshape(x, [batch, ...grid, features]), [0, 0, 0, 0], [0, 2 * down - grid[0], 2 * across - grid[1], 0]);
  // Column by column, as in Swin.
  const four = graph.transpose(graph.reshape(even, [batch, down, 2, across, 2, features]), [0, 1, 3, 4, 2, 5]);
  return tracer.linear(reduction, tracer.layerNorm(norm, graph.reshape(four, [batch * down * across, 4 * features]), EPSILON));
}
