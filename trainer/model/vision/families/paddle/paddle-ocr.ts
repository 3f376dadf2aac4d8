/**
 * The encoder of PaddleOCR-VL (Cui et al. 2025): SigLIP's tower over patches of an image of any size, with learned positions that are
 * interpolated and rotary positions in two dimensions. Squares of neighboring patches become vectors.
 */

import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { siglipTowerNames } from '../../../family/image/vit-names.ts';
import { type PreNormBlock, type PreNormConfig, preNormBlock, preNormModules, withModules } from '../../../family/pre-norm-block.ts';
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
  underOtherNames,
} from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { paddleOcrMmproj } from '../../mmproj/siglip-mmproj.ts';
import { axialTables } from '../../patches/gated-block.ts';
import { patchBlock, runPatchBlock } from '../../patches/patch-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { patchProducts, withPositions } from '../../patches/patch-embedding.ts';
import { positionFeeds, TAPS } from '../../patches/patch-feeds.ts';
import { roundEven, smartLayout } from '../../patches/smart-resize.ts';
import type { ImageLayout, ImageSize, ImageView, ViewPixels, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { type PaddleOcrTower, paddleOcrTower } from './paddle-ocr-config.ts';

/** The names in published files, and in files that have those of the model in memory. */
const TOWER = 'visual.vision_model.';
const OTHER_TOWER = 'model.visual.vision_model.';
const PROJECTOR = 'mlp_AR.';
const OTHER_PROJECTOR = 'model.projector.';
/** The text of an image's token, and its placeholder in chat templates. */
const IMAGE = '<|IMAGE_PLACEHOLDER|>';
/** The epsilon of the projector's norm. */
const EPSILON = 1e-5;

interface Parts {
  readonly config: PaddleOcrTower;
  readonly block: PreNormConfig;
  /** [hiddenSize, 3, patch, patch] */
  readonly patches: ModuleSpec;
  readonly patchBias: ModuleSpec;
  readonly table: ModuleSpec;
  readonly blocks: readonly PreNormBlock[];
  readonly finalNorm: BiasedSpec;
  readonly norm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

function partsOf(config: PaddleOcrTower): Parts {
  const { hiddenSize, patch, merged, outputSize, tableSide } = config;
  const names = siglipTowerNames(TOWER);
  const inTower = <Spec extends ModuleSpec>(module: Spec): Spec => underOtherNames(module, [OTHER_TOWER + module.name.slice(TOWER.length)]);
  const inProjector = <Spec extends ModuleSpec>(module: Spec): Spec =>
    underOtherNames(module, [OTHER_PROJECTOR + module.name.slice(PROJECTOR.length)]);
  const block = patchBlock(config);
  const wide = hiddenSize * merged ** 2;
  const place = { part: 'mlp', layer: -1 } as const;
  return {
    config,
    block,
    patches: inTower(parameterSpec(`${names.patches}.weight`, [hiddenSize, 3, patch, patch])),
    patchBias: inTower(parameterSpec(`${names.patches}.bias`, [hiddenSize])),
    table: inTower(embeddingSpec(names.positions.replace(/\.weight$/, ''), tableSide ** 2, hiddenSize)),
    blocks: Array.from({ length: config.blocks }, (_, layer) => withModules(preNormBlock(block, layer, names.block(layer)), inTower)),
    finalNorm: inTower(layerNormSpec(names.finalNorm, -1, hiddenSize)),
    norm: inProjector(layerNormSpec(`${PROJECTOR}pre_norm`, -1, hiddenSize)),
    up: inProjector(linearSpec(`${PROJECTOR}linear_1`, place, wide, wide)),
    down: inProjector(linearSpec(`${PROJECTOR}linear_2`, place, outputSize, wide)),
  };
}

/** @throws ModelConfigError */
export function paddleOcr(files: VisionFiles): VisionEncoder {
  const config = paddleOcrTower(files);
  const parts = partsOf(config);
  const { patches, patchBias, table, blocks, finalNorm, norm, up, down } = parts;
  const modules = [patches, patchBias, table, ...blocks.flatMap(preNormModules), finalNorm, norm, up, down];
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
    mmproj: () => paddleOcrMmproj({ parameters, tower: TOWER, projector: PROJECTOR }, config),
  };
}

/**
 * A side shorter than one vector is enlarged first, in about the ratio of the sides.
 * @throws ModelConfigError for a size that the model does not take
 */
function layoutWithin(config: PaddleOcrTower, { width, height }: ImageSize, maxPixels?: number): ImageLayout {
  const { factor } = config.limits;
  const high = height < factor ? { width: roundEven((width * factor) / height), height: factor } : { width, height };
  const grown = high.width < factor ? { width: factor, height: roundEven((high.height * factor) / high.width) } : high;
  return smartLayout(config.limits, IMAGE, grown, maxPixels);
}

/** The two places of a side that are nearest to a center, with their shares; a place outside counts as the edge. */
function nearestTwo(center: number, length: number): (readonly [place: number, share: number])[] {
  const at = Math.max(center, 0);
  const first = Math.floor(at);
  return [
    [Math.min(first, length - 1), 1 - (at - first)],
    [Math.min(first + 1, length - 1), at - first],
  ];
}

/** The feeds of `positionFeeds`, as a linear filter takes them. */
const feedsOf = (config: PaddleOcrTower, pixels: ViewPixels, count: number): Record<string, HostArray> => {
  const { tableSide } = config;
  const nearest = (at: number, length: number) => nearestTwo(((at + 0.5) * tableSide) / length - 0.5, tableSide);
  return positionFeeds({ ...config, nearest }, pixels, count);
};

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, parts: Parts, count: number): Node {
  const { graph } = tracer;
  const { config, block, patches, patchBias, table, finalNorm, norm, up, down } = parts;
  const { hiddenSize, heads, theta, merged, epsilon, outputSize } = config;
  const mask = paddingMask(graph, graph.feed('seen', [1, count]));
  const rotary = axialTables(tracer, { theta, headDim: hiddenSize / heads }, count);
  const seen = graph.add(patchProducts(tracer, config, patches, count), tracer.parameter(patchBias.weight));
  let x = withPositions(tracer, seen, table, TAPS, count);
  for (const own of parts.blocks) x = runPatchBlock(tracer, block, own, x, { mask, rotary });
  const normal = tracer.layerNorm(norm, tracer.layerNorm(finalNorm, x, epsilon), EPSILON);
  const joined = graph.reshape(normal, [count / merged ** 2, hiddenSize * merged ** 2]);
  const vectors = tracer.linear(down, activationOf('gelu')(graph, tracer.linear(up, joined)));
  return graph.reshape(vectors, [1, count / merged ** 2, outputSize]);
}
