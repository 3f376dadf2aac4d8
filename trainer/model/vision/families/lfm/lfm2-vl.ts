/**
 * The encoder of LFM2-VL (Liquid AI 2025): SigLIP 2's tower (Tschannen et al. 2025) sees an image, or each of its tiles, in any ratio of
 * sides. Its table of positions is resized to the patches, and squares of neighboring patches become vectors.
 */

import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { required } from '../../../../narrow.ts';
import { siglipTowerNames } from '../../../family/image/vit-names.ts';
import { type PreNormBlock, preNormBlock, preNormModules, withModules } from '../../../family/pre-norm-block.ts';
import { activationOf } from '../../../layer/activation.ts';
import { paddingMask } from '../../../layer/attention/self-attention.ts';
import {
  type BiasedSpec,
  embeddingSpec,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  parametersOf,
  underOtherNames,
} from '../../../module-specs.ts';
import { product } from '../../../product.ts';
import type { Tracer } from '../../../tracer.ts';
import { mmprojSizes } from '../../mmproj/mmproj.ts';
import { lfm2VlMmproj } from '../../mmproj/siglip-mmproj.ts';
import { runPatchBlock } from '../../patches/patch-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { patchFeeds, placesOf } from '../../patches/patch-feeds.ts';
import type { ImageView, ViewPixels, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { type Lfm2VlTower, lfm2VlTower } from './lfm2-vl-config.ts';
import { IMAGE, layoutOf } from './lfm2-vl-tiles.ts';

const TOWER = 'model.vision_tower.';
/** The names of the tower in files of other versions. */
const OTHER_TOWERS = ['model.vision_tower.vision_model.', 'vision_tower.vision_model.', 'vision_tower.'];
const PROJECTOR = 'model.multi_modal_projector.';
/** The epsilon of the projector's norm. */
const EPSILON = 1e-5;

interface Parts {
  readonly config: Lfm2VlTower;
  /** [hiddenSize, patch² · 3], by row, column and channel. */
  readonly patches: ModuleSpec;
  readonly table: ModuleSpec;
  readonly blocks: readonly PreNormBlock[];
  readonly finalNorm: BiasedSpec;
  readonly norm: BiasedSpec | undefined;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

function partsOf(config: Lfm2VlTower): Parts {
  const { block, patch, merged, tableRows, projector } = config;
  const { hiddenSize } = block;
  const names = siglipTowerNames(TOWER);
  const inFiles = <Spec extends ModuleSpec>(module: Spec): Spec =>
    underOtherNames(
      module,
      OTHER_TOWERS.map(tower => tower + module.name.slice(TOWER.length)),
    );
  const ofProjector = <Spec extends ModuleSpec>(module: Spec): Spec => underOtherNames(module, [module.name.slice('model.'.length)]);
  const wide = hiddenSize * merged ** 2;
  const place = { part: 'mlp', layer: -1 } as const;
  const linear = (name: string, out: number, width: number): ModuleSpec =>
    ofProjector(linearSpec(PROJECTOR + name, place, out, width, projector.isBiased));
  return {
    config,
    patches: inFiles(linearSpec(names.patches, place, hiddenSize, 3 * patch * patch)),
    table: inFiles(embeddingSpec(names.positions.replace(/\.weight$/, ''), tableRows, hiddenSize)),
    blocks: Array.from({ length: config.blocks }, (_, layer) => withModules(preNormBlock(block, layer, names.block(layer)), inFiles)),
    finalNorm: inFiles(layerNormSpec(names.finalNorm, -1, hiddenSize)),
    norm: projector.isNormed ? ofProjector(layerNormSpec(`${PROJECTOR}layer_norm`, -1, wide)) : undefined,
    up: linear('linear_1', projector.innerSize, wide),
    down: linear('linear_2', projector.outputSize, projector.innerSize),
  };
}

/** @throws ModelConfigError */
export function lfm2Vl(files: VisionFiles): VisionEncoder {
  const config = lfm2VlTower(files);
  const parts = partsOf(config);
  const { patches, table, blocks, finalNorm, norm, up, down } = parts;
  const { block, projector, tiling, scale } = config;
  const modules = [patches, table, ...blocks.flatMap(preNormModules), finalNorm, ...(norm ? [norm] : []), up, down];
  const countOf = (view: ImageView): number => patchesOf(view, config.merged);
  const parameters = parametersOf(modules);
  const imageSize = config.tableSide * config.patch;
  const sizes = { ...mmprojSizes({ ...block, blocks: config.blocks }), imageSize, patch: config.patch, outputSize: projector.outputSize };
  return {
    parameters,
    modules,
    scale,
    placeholder: IMAGE,
    layout: (image, maxPixels) => layoutOf(image, config.tiling, maxPixels),
    shapeOf: countOf,
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => feedsOf(config, pixels, countOf(view)),
    mmproj: () => lfm2VlMmproj({ tower: TOWER, parameters, sizes, scale, tiling, joined: config.merged, projector: PROJECTOR }),
  };
}

/**
 * The shares of the rows of a table in a position, resized as by an antialiased linear filter.
 * @param at the place among `count` places along a side
 */
function sharesOf(at: number, count: number, side: number): readonly number[] {
  const scale = side / count;
  const center = (at + 0.5) * scale - 0.5;
  const shares = Array.from({ length: side }, (_, row) => Math.max(0, 1 - Math.abs(row - center) / Math.max(scale, 1)));
  const sum = shares.reduce((total, share) => total + share, 0);
  return shares.map(share => share / sum);
}

/** The feeds `patches` and `seen` of `patchFeeds`, and shares [count, tableSide²] of the rows of the table in the position of each patch. */
function feedsOf(config: Lfm2VlTower, pixels: ViewPixels, count: number): Record<string, HostArray> {
  const { patch, merged, tableSide, tableRows } = config;
  const { at: _, ...feeds } = patchFeeds(config, pixels, count);
  const [rows, columns] = [pixels.height / patch, pixels.width / patch];
  const along = (length: number) => Array.from({ length }, (_each, at) => sharesOf(at, length, tableSide));
  const [down, across] = [along(rows), along(columns)];
  const shares = new Float32Array(count * tableRows);
  placesOf(rows, columns, merged).forEach(({ row, column }, i) => {
    down[row]?.forEach((ofRow, y) => {
      across[column]?.forEach((ofColumn, x) => {
        shares[i * tableRows + y * tableSide + x] = ofRow * ofColumn;
      });
    });
  });
  return { ...feeds, shares };
}

/** Patches with their positions, [count, hiddenSize]. */
function embedded(tracer: Tracer, { config, patches, table }: Parts, count: number): Node {
  const { graph } = tracer;
  const { block, patch, tableRows } = config;
  const { hiddenSize } = block;
  const width = 3 * patch * patch;
  // Patches are by channel.
  const byChannel = graph.transpose(graph.reshape(tracer.parameter(patches.weight), [hiddenSize, patch * patch, 3]), [0, 2, 1]);
  const weight = graph.reshape(byChannel, [hiddenSize, width]);
  const seen = product(graph, tracer.compute, graph.feed('patches', [count, width]), weight, { transposeB: true });
  const positions = graph.matmul(graph.feed('shares', [count, tableRows]), tracer.parameter(table.weight));
  return graph.add(graph.add(seen, tracer.parameter(required(patches.bias, 'the bias of the patches'))), positions);
}

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, parts: Parts, count: number): Node {
  const { graph } = tracer;
  const { config, finalNorm, norm, up, down } = parts;
  const { block, merged, projector } = config;
  const mask = paddingMask(graph, graph.feed('seen', [1, count]));
  let x = embedded(tracer, parts, count);
  for (const own of parts.blocks) x = runPatchBlock(tracer, block, own, x, { mask });
  const vectors = count / merged ** 2;
  const joined = graph.reshape(tracer.layerNorm(finalNorm, x, block.epsilon), [vectors, block.hiddenSize * merged ** 2]);
  const normal = norm ? tracer.layerNorm(norm, joined, EPSILON) : joined;
  const inner = activationOf(projector.activation)(graph, tracer.linear(up, normal));
  return graph.reshape(tracer.linear(down, inner), [1, vectors, projector.outputSize]);
}
