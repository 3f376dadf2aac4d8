/**
 * The vision tower of GLM-4V (GLM-V Team 2025) and GLM-OCR: a vision transformer over patches of an image of any size, with rotary positions
 * in two dimensions. A convolution joins squares of patches before the projector. GLM-4V's tower also has learned positions, which are
 * interpolated.
 */

import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { activationOf, gatedActivation } from '../../../layer/activation.ts';
import { nearestFour } from '../../../layer/positions/resize-grid.ts';
import {
  type BiasedSpec,
  embeddingSpec,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  normSpec,
  parameterSpec,
  parametersOf,
} from '../../../module-specs.ts';
import { product } from '../../../product.ts';
import type { Tracer } from '../../../tracer.ts';
import { glmMmproj } from '../../mmproj/glm-mmproj.ts';
import { type Attended, axialTables, type GatedBlock, gatedBlockModules, gatedBlockStates } from '../../patches/gated-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { patchProducts, withPositions } from '../../patches/patch-embedding.ts';
import { patchFeeds, positionFeeds } from '../../patches/patch-feeds.ts';
import { smartLayout } from '../../patches/smart-resize.ts';
import type { ImageLayout, ImageSize, ImageView, ViewPixels, VisionEncoder } from '../../vision-encoder.ts';
import type { GlmTower } from './glm-vision-config.ts';

const TOWER = 'model.visual';
/** The text of an image's token, and its placeholder in chat templates. */
const IMAGE = '<|image|>';
/** The epsilon of the projector's norm. */
const EPSILON = 1e-5;
/** Number of table rows that a position is interpolated from: four rows and four columns. */
const TAPS = 16;

interface Parts {
  readonly config: GlmTower;
  /** [hiddenSize, 3, frames, patch, patch] */
  readonly patches: ModuleSpec;
  readonly patchBias: ModuleSpec;
  /** The norm of patches and the table of positions that is added after it; none in some towers. */
  readonly learned: { readonly norm: ModuleSpec; readonly table: ModuleSpec } | undefined;
  readonly blocks: readonly GatedBlock[];
  readonly norm: ModuleSpec;
  /** Joins a square of patches: [outputSize, hiddenSize, merged, merged]. */
  readonly join: ModuleSpec;
  readonly joinBias: ModuleSpec;
  readonly merger: {
    readonly first: ModuleSpec;
    readonly norm: BiasedSpec;
    readonly gate: ModuleSpec;
    readonly up: ModuleSpec;
    readonly down: ModuleSpec;
  };
}

function blockOf({ hiddenSize, intermediateSize, heads, biased, normsHeads }: GlmTower, layer: number): GatedBlock {
  const at = `${TOWER}.blocks.${layer}`;
  const attends = (name: string, out: number, isBiased: boolean): ModuleSpec =>
    linearSpec(`${at}.attn.${name}`, { part: 'attention', layer }, out, hiddenSize, isBiased);
  const mlp = (name: string, out: number, width: number): ModuleSpec =>
    linearSpec(`${at}.mlp.${name}`, { part: 'mlp', layer }, out, width, biased.others);
  const headNorm = (name: string): ModuleSpec => normSpec(`${at}.attn.${name}`, layer, hiddenSize / heads);
  return {
    norm1: normSpec(`${at}.norm1`, layer, hiddenSize),
    qkv: [attends('qkv', 3 * hiddenSize, biased.qkv)],
    ...(normsHeads && { headNorms: [headNorm('q_norm'), headNorm('k_norm')] as const }),
    o: attends('proj', hiddenSize, biased.others),
    norm2: normSpec(`${at}.norm2`, layer, hiddenSize),
    gate: mlp('gate_proj', intermediateSize, hiddenSize),
    up: mlp('up_proj', intermediateSize, hiddenSize),
    down: mlp('down_proj', hiddenSize, intermediateSize),
  };
}

function partsOf(config: GlmTower): Parts {
  const { hiddenSize, patch, frames, merged, outputSize, mergerSize, tableSide } = config;
  const inMerger = (name: string, out: number, width: number): ModuleSpec =>
    linearSpec(`${TOWER}.merger.${name}`, { part: 'mlp', layer: -1 }, out, width, false);
  return {
    config,
    patches: parameterSpec(`${TOWER}.patch_embed.proj.weight`, [hiddenSize, 3, frames, patch, patch]),
    patchBias: parameterSpec(`${TOWER}.patch_embed.proj.bias`, [hiddenSize]),
    learned:
      tableSide === undefined
        ? undefined
        : {
            norm: normSpec(`${TOWER}.post_conv_layernorm`, -1, hiddenSize),
            table: embeddingSpec(`${TOWER}.embeddings.position_embedding`, tableSide ** 2, hiddenSize),
          },
    blocks: Array.from({ length: config.blocks }, (_, layer) => blockOf(config, layer)),
    norm: normSpec(`${TOWER}.post_layernorm`, -1, hiddenSize),
    join: parameterSpec(`${TOWER}.downsample.weight`, [outputSize, hiddenSize, merged, merged]),
    joinBias: parameterSpec(`${TOWER}.downsample.bias`, [outputSize]),
    merger: {
      first: inMerger('proj', outputSize, outputSize),
      norm: layerNormSpec(`${TOWER}.merger.post_projection_norm`, -1, outputSize),
      gate: inMerger('gate_proj', mergerSize, outputSize),
      up: inMerger('up_proj', mergerSize, outputSize),
      down: inMerger('down_proj', outputSize, mergerSize),
    },
  };
}

/** The encoder with this tower. */
export function glmVision(config: GlmTower): VisionEncoder {
  const parts = partsOf(config);
  const { patches, patchBias, learned, blocks, norm, join, joinBias, merger } = parts;
  const modules = [
    ...[patches, patchBias, ...(learned ? [learned.norm, learned.table] : [])],
    ...[...blocks.flatMap(gatedBlockModules), norm, join, joinBias, ...Object.values(merger)],
  ];
  const countOf = (view: ImageView): number => patchesOf(view, config.merged);
  const parameters = parametersOf(modules);
  return {
    parameters,
    modules,
    scale: config.scale,
    placeholder: IMAGE,
    layout: (image, maxPixels) => layoutWithin(config, image, maxPixels),
    shapeOf: countOf,
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => feedsOf(config, pixels, countOf(view)),
    mmproj: () => glmMmproj(config, parameters),
  };
}

/**
 * An image with a side shorter than one vector is enlarged first, in the ratio of its sides.
 * @throws ModelConfigError for a size that the model does not take
 */
function layoutWithin(config: GlmTower, { width, height }: ImageSize, maxPixels?: number): ImageLayout {
  const grown = Math.max(1, config.limits.factor / height, config.limits.factor / width);
  return smartLayout(config.limits, IMAGE, { width: Math.floor(width * grown), height: Math.floor(height * grown) }, maxPixels);
}

/**
 * The feeds of `patchFeeds`, and for towers with a table those of `positionFeeds`: the rows of the table around each patch, and their shares,
 * as PyTorch's bicubic `grid_sample` takes them.
 */
function feedsOf(config: GlmTower, pixels: ViewPixels, count: number): Record<string, HostArray> {
  const { tableSide } = config;
  if (tableSide === undefined) return patchFeeds(config, pixels, count);
  const nearest = (at: number, length: number) => nearestFour(((at + 0.5) * tableSide) / length - 0.5, tableSide);
  return positionFeeds({ ...config, tableSide, nearest }, pixels, count);
}

/** Patches with their learned positions, if there are any, [count, hiddenSize]. */
function embedded(tracer: Tracer, { config, patches, patchBias, learned }: Parts, count: number): Node {
  const x = tracer.graph.add(patchProducts(tracer, config, patches, count), tracer.parameter(patchBias.weight));
  return learned ? withPositions(tracer, tracer.rmsNorm(learned.norm, x, config.epsilon), learned.table, TAPS, count) : x;
}

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, parts: Parts, count: number): Node {
  const { graph } = tracer;
  const { config, norm, join, joinBias, merger } = parts;
  const { hiddenSize, heads, theta, merged, epsilon, outputSize } = config;
  const rotary = axialTables(tracer, { theta, headDim: hiddenSize / heads }, count);
  const attended: Attended = { batch: 1, seen: graph.feed('seen', [1, count]), rotary };
  let x = embedded(tracer, parts, count);
  for (const block of parts.blocks) x = gatedBlockStates(tracer, config, block, x, attended);
  const vectors = count / merged ** 2;
  const wide = hiddenSize * merged ** 2;
  const squares = graph.reshape(tracer.rmsNorm(norm, x, epsilon), [vectors, merged ** 2, hiddenSize]);
  const byFeature = graph.reshape(graph.transpose(squares, [0, 2, 1]), [vectors, wide]);
  const weight = graph.reshape(tracer.parameter(join.weight), [outputSize, wide]);
  const joined = graph.add(product(graph, tracer.compute, byFeature, weight, { transposeB: true }), tracer.parameter(joinBias.weight));
  const normal = activationOf('gelu')(graph, tracer.layerNorm(merger.norm, tracer.linear(merger.first, joined), EPSILON));
  const inner = gatedActivation(config.activation)(graph, tracer.linear(merger.gate, normal), tracer.linear(merger.up, normal));
  return graph.reshape(tracer.linear(merger.down, inner), [1, vectors, outputSize]);
}
