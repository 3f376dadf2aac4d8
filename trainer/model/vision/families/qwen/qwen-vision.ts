/**
 * The vision tower of Qwen3-VL and Qwen3.5 (Bai et al. 2025): a vision transformer over patches of an image of any size, with learned
 * positions that are interpolated, rotary positions in two dimensions, and a projector of squares of patches. That of Qwen2-VL (Wang et al.
 * 2024) has no learned positions.
 */

import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { type PreNormBlock, type PreNormConfig, preNormBlock, preNormModules } from '../../../family/pre-norm-block.ts';
import { activationOf } from '../../../layer/activation.ts';
import { paddingMask } from '../../../layer/attention/self-attention.ts';
import {
  type BiasedSpec,
  embeddingSpec,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  parameterSpec,
  parametersOf,
} from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { qwenMmproj } from '../../mmproj/qwen-mmproj.ts';
import { axialTables } from '../../patches/gated-block.ts';
import { patchBlock, runPatchBlock } from '../../patches/patch-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { patchProducts, withPositions } from '../../patches/patch-embedding.ts';
import { patchFeeds, positionFeeds, TAPS } from '../../patches/patch-feeds.ts';
import { smartLayout } from '../../patches/smart-resize.ts';
import type { ImageView, ViewPixels, VisionEncoder } from '../../vision-encoder.ts';
import { IMAGE, type QwenTower } from './qwen-vision-config.ts';

const EPSILON = 1e-6;

/** The names of a tower's modules. */
interface TowerNames {
  readonly tower: string;
  /** The layers of a block's MLP. */
  readonly mlp: readonly [up: string, down: string];
  readonly merger: readonly [norm: string, up: string, down: string];
}

export const QWEN3_NAMES: TowerNames = {
  tower: 'model.visual',
  mlp: ['mlp.linear_fc1', 'mlp.linear_fc2'],
  merger: ['norm', 'linear_fc1', 'linear_fc2'],
};

export const QWEN2_NAMES: TowerNames = { tower: 'visual', mlp: ['mlp.fc1', 'mlp.fc2'], merger: ['ln_q', 'mlp.0', 'mlp.2'] };

/** Projects a square of patches to a vector. */
interface Merger {
  readonly norm: BiasedSpec;
  /** True if the norm is over all features of a square, and not of each patch. */
  readonly isJoint: boolean;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

interface Parts {
  readonly config: QwenTower;
  readonly block: PreNormConfig;
  /** [hiddenSize, 3, frames, patch, patch] */
  readonly patches: ModuleSpec;
  /** The bias of patches, and the table of their positions; none in some towers. */
  readonly learned: { readonly bias: ModuleSpec; readonly table: ModuleSpec } | undefined;
  readonly blocks: readonly PreNormBlock[];
  readonly merger: Merger;
  /** One for each block whose states become vectors. */
  readonly deepstack: readonly Merger[];
}

function mergerOf({ hiddenSize, merged, outputSize }: QwenTower, names: TowerNames, at: string, isJoint: boolean): Merger {
  const [norm, up, down] = names.merger;
  const path = (name: string): string => `${names.tower}.${at}.${name}`;
  const wide = hiddenSize * merged ** 2;
  const place = { part: 'mlp', layer: -1 } as const;
  return {
    norm: layerNormSpec(path(norm), -1, isJoint ? wide : hiddenSize),
    isJoint,
    up: linearSpec(path(up), place, wide, wide),
    down: linearSpec(path(down), place, outputSize, wide),
  };
}

const mergerModules = ({ norm, up, down }: Merger): ModuleSpec[] => [norm, up, down];

function partsOf(config: QwenTower, names: TowerNames): Parts {
  const { hiddenSize, patch, frames, table } = config;
  const block = patchBlock({ ...config, epsilon: EPSILON });
  const patches = `${names.tower}.patch_embed.proj`;
  return {
    config,
    block,
    patches: parameterSpec(`${patches}.weight`, [hiddenSize, 3, frames, patch, patch]),
    learned: table && {
      bias: parameterSpec(`${patches}.bias`, [hiddenSize]),
      table: embeddingSpec(`${names.tower}.pos_embed`, table.rows, hiddenSize),
    },
    blocks: Array.from({ length: config.blocks }, (_, layer) => {
      const at = `${names.tower}.blocks.${layer}`;
      const attention = { qkv: `${at}.attn.qkv`, o: `${at}.attn.proj`, inputNorm: `${at}.norm1` };
      const [up, down] = names.mlp;
      return preNormBlock(block, layer, { ...attention, middleNorm: `${at}.norm2`, mlp: `${at}.${up}`, down: `${at}.${down}` });
    }),
    merger: mergerOf(config, names, 'merger', false),
    deepstack: config.deepstack.map((_, i) => mergerOf(config, names, `deepstack_merger_list.${i}`, true)),
  };
}

/** The encoder with this tower. */
export function qwenVision(config: QwenTower, names: TowerNames): VisionEncoder {
  const parts = partsOf(config, names);
  const { patches, learned, blocks, merger, deepstack } = parts;
  const modules = [
    patches,
    ...(learned ? [learned.bias, learned.table] : []),
    ...blocks.flatMap(preNormModules),
    ...[merger, ...deepstack].flatMap(mergerModules),
  ];
  const countOf = (view: ImageView): number => patchesOf(view, config.merged);
  const parameters = parametersOf(modules);
  return {
    parameters,
    modules,
    scale: config.scale,
    placeholder: IMAGE,
    layout: (image, maxPixels) => smartLayout(config.limits, IMAGE, image, maxPixels),
    shapeOf: countOf,
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => feedsOf(config, pixels, countOf(view)),
    mmproj: () => qwenMmproj(config, { parameters, epsilon: EPSILON }),
  };
}

/** The two nearest rows of a table for one of `count` places along a side, and their weights, as Transformers rounds them. */
function taps(at: number, count: number, side: number): readonly (readonly [index: number, weight: number])[] {
  const source = Math.fround((at * (side - 1)) / Math.max(count - 1, 1));
  const below = Math.floor(source);
  const upper = Math.fround(source - below);
  return [
    [Math.min(below, side - 1), Math.fround(1 - upper)],
    [Math.min(below + 1, side - 1), upper],
  ];
}

/** The feeds of `patchFeeds`, and for towers with a table those of `positionFeeds`. */
function feedsOf(config: QwenTower, pixels: ViewPixels, count: number): Record<string, HostArray> {
  const { table } = config;
  if (!table) return patchFeeds(config, pixels, count);
  return positionFeeds({ ...config, tableSide: table.side, nearest: (at, length) => taps(at, length, table.side) }, pixels, count);
}

/** [sets, vectors, outputSize] */
function vectorsOf(tracer: Tracer, parts: Parts, count: number): Node {
  const { graph } = tracer;
  const { config, block, blocks } = parts;
  const mask = paddingMask(graph, graph.feed('seen', [1, count]));
  const rotary = axialTables(tracer, { theta: config.theta, headDim: config.hiddenSize / config.heads }, count);
  const further = new Map<number, Node>();
  let x = embedded(tracer, parts, count);
  blocks.forEach((own, layer) => {
    x = runPatchBlock(tracer, block, own, x, { mask, rotary });
    if (config.deepstack.includes(layer)) {
      const merger = parts.deepstack[config.deepstack.indexOf(layer)];
      if (merger) further.set(layer, merge(tracer, config, merger, x));
    }
  });
  const sets = [merge(tracer, config, parts.merger, x), ...further.values()];
  return graph.concat(
    sets.map(set => graph.reshape(set, [1, ...set.shape])),
    0,
  );
}

/** Patches with their learned positions, if there are any, [count, hiddenSize]. */
function embedded(tracer: Tracer, { config, patches, learned }: Parts, count: number): Node {
  const products = patchProducts(tracer, config, patches, count);
  if (!learned) return products;
  return withPositions(tracer, tracer.graph.add(products, tracer.parameter(learned.bias.weight)), learned.table, TAPS, count);
}

/** Features of each vector, [vectors, outputSize], from those of its patches. */
function merge(tracer: Tracer, { hiddenSize, merged }: QwenTower, { norm, isJoint, up, down }: Merger, x: Node): Node {
  const { graph } = tracer;
  const joined = (y: Node): Node => graph.reshape(y, [(x.shape[0] as number) / merged ** 2, hiddenSize * merged ** 2]);
  const normal = isJoint ? tracer.layerNorm(norm, joined(x), EPSILON) : joined(tracer.layerNorm(norm, x, EPSILON));
  return tracer.linear(down, activationOf('gelu')(graph, tracer.linear(up, normal)));
}
