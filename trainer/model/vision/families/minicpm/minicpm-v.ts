/**
 * The encoder of MiniCPM-V 4.6 (OpenBMB 2026): SigLIP's tower sees a picture of the whole image, and slices of a large one, each in its own
 * ratio of sides. After some of its blocks, windows of 2 × 2 patches become one; squares of 2 × 2 of these become vectors.
 */

import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { elementAt, required } from '../../../../narrow.ts';
import { siglipTowerNames } from '../../../family/image/vit-names.ts';
import { type PreNormBlock, type PreNormConfig, preNormBlock, preNormModules, projections } from '../../../family/pre-norm-block.ts';
import { activationOf } from '../../../layer/activation.ts';
import { attend, paddingMask } from '../../../layer/attention/self-attention.ts';
import { bucketsOf, byQuotients } from '../../../layer/positions/bucketed-grid.ts';
import {
  type BiasedSpec,
  type ConvSpec,
  embeddingSpec,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  parametersOf,
  patchSpec,
} from '../../../module-specs.ts';
import { product } from '../../../product.ts';
import type { Tracer } from '../../../tracer.ts';
import { runPatchBlock } from '../../patches/patch-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { copyPatch, placesOf } from '../../patches/patch-feeds.ts';
import type { ImageView, ViewPixels, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { MERGED, type MiniCpmVTower, miniCpmVTower } from './minicpm-v-config.ts';
import { IMAGE, layoutOf, numberOf } from './minicpm-v-slices.ts';

const TOWER = 'model.vision_tower.';
const WINDOWS = `${TOWER}vit_merger`;
const VECTORS = 'model.merger.mlp.0';
/** The epsilon of the last norm. */
const EPSILON = 1e-6;
/** Number of patches of a window, and of windows of a vector. */
const FOUR = 4;

/** Attention within windows, followed by an MLP that makes one row of each. */
interface WindowMerger extends Pick<PreNormBlock, 'qkv' | 'o'> {
  readonly firstNorm: BiasedSpec;
  readonly norm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

interface Parts {
  readonly config: MiniCpmVTower;
  /** [hiddenSize, 3, patch, patch] */
  readonly patches: ConvSpec;
  /** [tableSide², hiddenSize] */
  readonly table: ModuleSpec;
  readonly blocks: readonly PreNormBlock[];
  readonly merger: WindowMerger;
  readonly finalNorm: BiasedSpec;
  readonly norm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

function partsOf(config: MiniCpmVTower): Parts {
  const { block, patch, tableSide, outputSize } = config;
  const { hiddenSize } = block;
  const names = siglipTowerNames(TOWER);
  const place = { part: 'mlp', layer: -1 } as const;
  const wide = FOUR * hiddenSize;
  return {
    config,
    patches: patchSpec(names.patches, 3, hiddenSize, [patch, patch]),
    table: embeddingSpec(names.positions.replace(/\.weight$/, ''), tableSide ** 2, hiddenSize),
    blocks: Array.from({ length: config.blocks }, (_, layer) => preNormBlock(block, layer, names.block(layer))),
    merger: mergerOf(block),
    finalNorm: layerNormSpec(names.finalNorm, -1, hiddenSize),
    norm: layerNormSpec(`${VECTORS}.pre_norm`, -1, wide),
    up: linearSpec(`${VECTORS}.linear_1`, place, wide, wide),
    down: linearSpec(`${VECTORS}.linear_2`, place, outputSize, wide),
  };
}

function mergerOf({ hiddenSize, intermediateSize }: PreNormConfig): WindowMerger {
  const [attention, mlp] = [{ part: 'attention', layer: -1 } as const, { part: 'mlp', layer: -1 } as const];
  const ofAttention = (name: string): ModuleSpec => linearSpec(`${WINDOWS}.self_attn.${name}`, attention, hiddenSize, hiddenSize);
  const [wide, inner] = [FOUR * hiddenSize, FOUR * intermediateSize];
  return {
    firstNorm: layerNormSpec(`${WINDOWS}.layer_norm1`, -1, hiddenSize),
    qkv: ['q_proj', 'k_proj', 'v_proj'].map(ofAttention),
    o: ofAttention('out_proj'),
    norm: layerNormSpec(`${WINDOWS}.pre_norm`, -1, wide),
    up: linearSpec(`${WINDOWS}.linear_1`, mlp, inner, wide),
    down: linearSpec(`${WINDOWS}.linear_2`, mlp, hiddenSize, inner),
  };
}

/** @throws ModelConfigError */
export function miniCpmV(files: VisionFiles): VisionEncoder {
  const config = miniCpmVTower(files);
  const parts = partsOf(config);
  const { patches, table, blocks, merger, finalNorm, norm, up, down } = parts;
  const ofMerger = [merger.firstNorm, ...merger.qkv, merger.o, merger.norm, merger.up, merger.down];
  const modules = [patches, table, ...blocks.flatMap(preNormModules), ...ofMerger, finalNorm, norm, up, down];
  const countOf = (view: ImageView): number => patchesOf(view, MERGED);
  return {
    parameters: parametersOf(modules),
    modules,
    scale: config.scale,
    placeholder: IMAGE,
    numberOf: config.hasNumbers ? numberOf : undefined,
    layout: (image, maxPixels) => layoutOf(image, config.slicing, maxPixels),
    shapeOf: countOf,
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => feedsOf(config, pixels, countOf(view)),
  };
}

/**
 * The feeds of one view, padded to `count` patches; the patches of a window follow each other, as do the windows of a vector:
 * - patches [count, 3 · patch²]: the values of each, by channel, row and column
 * - cells int32 [count]: its row of the table of positions
 * - seen [1, count]: 1 for patches, 0 for padding
 */
function feedsOf({ patch, tableSide }: MiniCpmVTower, pixels: ViewPixels, count: number): Record<string, HostArray> {
  const [rows, columns] = [pixels.height / patch, pixels.width / patch];
  const [down, across] = [bucketsOf(rows, tableSide, byQuotients), bucketsOf(columns, tableSide, byQuotients)];
  const width = 3 * patch * patch;
  const patches = new Float32Array(count * width);
  const cells = new Int32Array(count);
  const ofWindow = placesOf(2, 2, 2);
  const places = placesOf(rows / 2, columns / 2, 2).flatMap(window =>
    ofWindow.map(own => ({ row: 2 * window.row + own.row, column: 2 * window.column + own.column })),
  );
  places.forEach(({ row, column }, i) => {
    copyPatch({ pixels, patch, row, column }, patches, i * width);
    cells[i] = elementAt(down, row) * tableSide + elementAt(across, column);
  });
  return { patches, cells, seen: new Float32Array(count).fill(1, 0, rows * columns) };
}

/** Patches with their positions, [count, hiddenSize]. */
function embedded(tracer: Tracer, { config, patches, table }: Parts, count: number): Node {
  const { graph } = tracer;
  const width = 3 * config.patch ** 2;
  const weight = graph.reshape(tracer.parameter(patches.weight), [config.block.hiddenSize, width]);
  const seen = product(graph, tracer.compute, graph.feed('patches', [count, width]), weight, { transposeB: true });
  const positions = tracer.embedding(table, graph.feed('cells', [count], 'int32'));
  return graph.add(graph.add(seen, tracer.parameter(required(patches.bias, 'the bias of the patches'))), positions);
}

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, parts: Parts, count: number): Node {
  const { graph } = tracer;
  const { config, finalNorm, norm, up, down } = parts;
  const { block, mergedAfter, outputSize } = config;
  const seen = graph.feed('seen', [1, count]);
  let mask = paddingMask(graph, seen);
  let x = embedded(tracer, parts, count);
  parts.blocks.forEach((own, layer) => {
    x = runPatchBlock(tracer, block, own, x, { mask });
    if (layer !== mergedAfter) return;
    x = mergedWindows(tracer, block, parts.merger, x);
    // A window is seen as a whole or is padding.
    mask = paddingMask(graph, graph.reshape(graph.sliceAxis(graph.reshape(seen, [count / FOUR, FOUR]), 1, 0, 1), [1, count / FOUR]));
  });
  const vectors = count / MERGED ** 2;
  const joined = graph.reshape(tracer.layerNorm(finalNorm, x, block.epsilon), [vectors, FOUR * block.hiddenSize]);
  const inner = activationOf('gelu')(graph, tracer.linear(up, tracer.layerNorm(norm, joined, EPSILON)));
  return graph.reshape(tracer.linear(down, inner), [1, vectors, outputSize]);
}

/** x [patches, hiddenSize], window by window → [windows, hiddenSize]: the means of windows, and what attention and the MLP add. */
function mergedWindows(tracer: Tracer, config: PreNormConfig, merger: WindowMerger, x: Node): Node {
  const { graph } = tracer;
  const { hiddenSize, epsilon } = config;
  const windows = elementAt(x.shape, 0) / FOUR;
  const [q, k, v] = projections(tracer, config, merger, tracer.layerNorm(merger.firstNorm, x, epsilon), windows);
  const scale = elementAt(q.shape, 3) ** -0.5;
  const attended = graph.add(x, tracer.linear(merger.o, attend(tracer, { q, k, v, mask: { kind: 'all' }, scale, dropout: 0 })));
  const normal = tracer.layerNorm(merger.norm, graph.reshape(attended, [windows, FOUR * hiddenSize]), epsilon);
  const inner = activationOf('gelu_pytorch_tanh')(graph, tracer.linear(merger.up, normal));
  return graph.add(tracer.linear(merger.down, inner), graph.mean(graph.reshape(attended, [windows, FOUR, hiddenSize]), [1]));
}
