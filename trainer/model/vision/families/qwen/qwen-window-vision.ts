/**
 * The vision tower of Qwen2.5-VL (Bai et al. 2025): in most blocks, the patches of a square window attend to each other alone. A program
 * reads whole windows: those at the border of an image are padded.
 */

import { z } from 'zod';
import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { elementAt } from '../../../../narrow.ts';
import { computed, contradiction, type KeyTable, refusedUnless, withoutEffect } from '../../../config-keys.ts';
import { activation, size } from '../../../family/common-keys.ts';
import { activationOf } from '../../../layer/activation.ts';
import { linearSpec, type ModuleSpec, normSpec, parameterSpec, parametersOf } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { qwenWindowMmproj, type WindowedTower } from '../../mmproj/qwen-mmproj.ts';
import { type Attended, axialTables, type GatedBlock, gatedBlockModules, gatedBlockStates } from '../../patches/gated-block.ts';
import { bucketOf } from '../../patches/patch-buckets.ts';
import { patchProducts } from '../../patches/patch-embedding.ts';
import { copyPatch } from '../../patches/patch-feeds.ts';
import { smartLayout } from '../../patches/smart-resize.ts';
import { readTower } from '../../read-tower.ts';
import type { ImageSize, ImageView, ViewPixels, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { blockProblems, IMAGE, plainKeys, qwenSizes } from './qwen-vision-config.ts';

const PREFIX = 'visual';
const EPSILON = 1e-6;

/** The keys of `vision_config`. */
export const windowTowerKeys = {
  ...plainKeys,
  depth: computed(size(256).default(32)),
  hidden_size: computed(size(16384).default(3584)),
  intermediate_size: computed(size(65536).default(3420)),
  hidden_act: activation('silu'),
  patch_size: computed(size(256).default(14)),
  window_size: computed(size(4096).default(112)),
  fullatt_block_indexes: computed(z.array(z.number().int().nonnegative()).max(256).default([7, 15, 23, 31])),
  ...refusedUnless([3], 'in_chans'),
  ...withoutEffect('is of videos, which are not read', 'tokens_per_second'),
  ...withoutEffect('says what patch_size says', 'spatial_patch_size'),
} as const satisfies KeyTable;

/** @throws ModelConfigError */
function windowTower(architecture: string, files: VisionFiles): WindowedTower {
  const { values: c, problems } = readTower(windowTowerKeys, architecture, files.config);
  const side = Math.floor(Math.floor(c.window_size / c.spatial_merge_size) / c.patch_size);
  const small = `window_size ${c.window_size} is less than one square of patches`;
  const sizes = qwenSizes(architecture, files, c, [
    ...problems,
    ...blockProblems('fullatt_block_indexes', c.fullatt_block_indexes, c.depth),
    ...(side < 1 ? [contradiction('window_size', small)] : []),
  ]);
  return { ...sizes, side, whole: c.fullatt_block_indexes };
}

function blockOf({ hiddenSize, intermediateSize }: WindowedTower, layer: number): GatedBlock {
  const at = `${PREFIX}.blocks.${layer}`;
  const attention = { part: 'attention', layer } as const;
  const mlp = { part: 'mlp', layer } as const;
  return {
    norm1: normSpec(`${at}.norm1`, layer, hiddenSize),
    qkv: [linearSpec(`${at}.attn.qkv`, attention, 3 * hiddenSize, hiddenSize)],
    o: linearSpec(`${at}.attn.proj`, attention, hiddenSize, hiddenSize),
    norm2: normSpec(`${at}.norm2`, layer, hiddenSize),
    gate: linearSpec(`${at}.mlp.gate_proj`, mlp, intermediateSize, hiddenSize),
    up: linearSpec(`${at}.mlp.up_proj`, mlp, intermediateSize, hiddenSize),
    down: linearSpec(`${at}.mlp.down_proj`, mlp, hiddenSize, intermediateSize),
  };
}

interface Parts {
  readonly config: WindowedTower;
  /** [hiddenSize, 3, frames, patch, patch] */
  readonly patches: ModuleSpec;
  readonly blocks: readonly GatedBlock[];
  readonly merger: { readonly norm: ModuleSpec; readonly up: ModuleSpec; readonly down: ModuleSpec };
}

function partsOf(config: WindowedTower): Parts {
  const { hiddenSize, patch, frames, merged, outputSize } = config;
  const wide = hiddenSize * merged ** 2;
  const place = { part: 'mlp', layer: -1 } as const;
  return {
    config,
    patches: parameterSpec(`${PREFIX}.patch_embed.proj.weight`, [hiddenSize, 3, frames, patch, patch]),
    blocks: Array.from({ length: config.blocks }, (_, layer) => blockOf(config, layer)),
    merger: {
      norm: normSpec(`${PREFIX}.merger.ln_q`, -1, hiddenSize),
      up: linearSpec(`${PREFIX}.merger.mlp.0`, place, wide, wide),
      down: linearSpec(`${PREFIX}.merger.mlp.2`, place, outputSize, wide),
    },
  };
}

/** @throws ModelConfigError */
export function qwenWindowVision(architecture: string, files: VisionFiles): VisionEncoder {
  const config = windowTower(architecture, files);
  const parts = partsOf(config);
  const modules = [parts.patches, ...parts.blocks.flatMap(gatedBlockModules), ...Object.values(parts.merger)];
  const parameters = parametersOf(modules);
  const windowsOf = ({ resizes }: ImageView): number => bucketOf(countOf(elementAt(resizes, 0), config), LEAST_WINDOWS);
  return {
    parameters,
    modules,
    scale: config.scale,
    placeholder: IMAGE,
    layout: (image, maxPixels) => smartLayout(config.limits, IMAGE, image, maxPixels),
    shapeOf: windowsOf,
    trace: (tracer, windows) => vectorsOf(tracer, parts, windows),
    feeds: (view, pixels) => windowFeeds(config, pixels, windowsOf(view)),
    mmproj: () => qwenWindowMmproj(config, { parameters, epsilon: EPSILON }),
  };
}

const LEAST_WINDOWS = 4;

/** Number of windows across and down. */
const windowGrid = ({ width, height }: ImageSize, { limits, side }: WindowedTower) => ({
  across: Math.ceil(width / limits.factor / side),
  down: Math.ceil(height / limits.factor / side),
});

function countOf(resized: ImageSize, config: WindowedTower): number {
  const { across, down } = windowGrid(resized, config);
  return across * down;
}

/**
 * The feeds of one image, window by window:
 * - patches [windows · cells, 3 · patch²], and their rows and columns, at int32 [2, windows · cells]
 * - seen [windows, cells]: 1 for patches, 0 for padding
 * - order int32 [windows · side²]: for each vector, row by row, its place among those of all windows
 */
function windowFeeds(config: WindowedTower, pixels: ViewPixels, windows: number): Record<string, HostArray> {
  const { patch, merged, side, limits } = config;
  const [rows, columns] = [pixels.height / limits.factor, pixels.width / limits.factor];
  const { across } = windowGrid(pixels, config);
  const inSquare = merged ** 2;
  const count = windows * side ** 2 * inSquare;
  const plane = 3 * patch * patch;
  const patches = new Float32Array(count * plane);
  const at = new Int32Array(2 * count);
  const seen = new Float32Array(count);
  const order = new Int32Array(windows * side ** 2);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const window = Math.floor(y / side) * across + Math.floor(x / side);
      const cell = window * side ** 2 + (y % side) * side + (x % side);
      order[y * columns + x] = cell;
      for (let i = 0; i < inSquare; i++) {
        const [row, column] = [y * merged + Math.floor(i / merged), x * merged + (i % merged)];
        const place = cell * inSquare + i;
        copyPatch({ pixels, patch, row, column }, patches, place * plane);
        at[place] = row;
        at[count + place] = column;
        seen[place] = 1;
      }
    }
  return { patches, at, seen, order };
}

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, { config, patches, blocks, merger }: Parts, windows: number): Node {
  const { graph } = tracer;
  const { side, merged, hiddenSize, heads, outputSize } = config;
  const squares = windows * side ** 2;
  const count = squares * merged ** 2;
  const seen = graph.feed('seen', [windows, count / windows]);
  const { cos, sin } = axialTables(tracer, { theta: config.theta, headDim: hiddenSize / heads }, count);
  const inWindows = (table: Node): Node => graph.reshape(table, [windows, 1, count / windows, table.shape[1] as number]);
  const ofWindows: Attended = { batch: windows, seen, rotary: { cos: inWindows(cos), sin: inWindows(sin) } };
  const ofAll: Attended = { batch: 1, seen: graph.reshape(seen, [1, count]), rotary: { cos, sin } };
  const sizes = { ...config, epsilon: EPSILON };
  let x = patchProducts(tracer, config, patches, count);
  blocks.forEach((block, layer) => {
    x = gatedBlockStates(tracer, sizes, block, x, config.whole.includes(layer) ? ofAll : ofWindows);
  });
  const joined = graph.reshape(tracer.rmsNorm(merger.norm, x, EPSILON), [squares, hiddenSize * merged ** 2]);
  const vectors = tracer.linear(merger.down, activationOf('gelu')(graph, tracer.linear(merger.up, joined)));
  return graph.reshape(graph.gather(vectors, graph.feed('order', [squares], 'int32')), [1, squares, outputSize]);
}
