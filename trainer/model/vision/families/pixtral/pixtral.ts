/**
 * The encoder of Mistral 3 (Pixtral, Agrawal et al. 2024) and LightOnOCR (Taghadouini et al. 2026): a vision transformer over patches of an
 * image of any size, with rotary positions in two dimensions. Squares of neighboring patches become vectors. With Mistral 3, a token of the
 * text ends each row of them.
 */

import type { Node } from '../../../../graph/graph.ts';
import { elementAt } from '../../../../narrow.ts';
import { activationOf } from '../../../layer/activation.ts';
import { ModelConfigError } from '../../../model-spec.ts';
import { linearSpec, type ModuleSpec, normSpec, parameterSpec, parametersOf, underOtherNames } from '../../../module-specs.ts';
import { product } from '../../../product.ts';
import type { Tracer } from '../../../tracer.ts';
import { lightOnMmproj } from '../../mmproj/lighton-mmproj.ts';
import { axialTables, type GatedBlock, gatedBlockModules, gatedBlockStates } from '../../patches/gated-block.ts';
import { bucketOf } from '../../patches/patch-buckets.ts';
import { patchFeeds } from '../../patches/patch-feeds.ts';
import type { ImageLayout, ImageSize, ImageView, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { lightOnTower, type PixtralTower, pixtralTower } from './pixtral-config.ts';

/** The epsilon of the tower's norms. */
const EPSILON = 1e-5;

interface Parts {
  readonly config: PixtralTower;
  /** [hiddenSize, 3, patch, patch] */
  readonly patches: ModuleSpec;
  readonly firstNorm: ModuleSpec;
  readonly blocks: readonly GatedBlock[];
  readonly norm: ModuleSpec;
  /** Joins a square of patches: [hiddenSize, hiddenSize · merged²], by feature, then by patch. */
  readonly merger: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

/** Older files have the names without the first part. */
const inFiles = <Spec extends ModuleSpec>(module: Spec): Spec => underOtherNames(module, [module.name.slice('model.'.length)]);

function partsOf(config: PixtralTower): Parts {
  const { hiddenSize, intermediateSize, patch, merged, projector, names } = config;
  const { outputSize, isBiased } = projector;
  const linear = (name: string, layer: number, out: number, width: number, biased = false): ModuleSpec =>
    inFiles(linearSpec(`model.${name}`, { part: name.includes('.attention.') ? 'attention' : 'mlp', layer }, out, width, biased));
  const norm = (name: string, layer: number): ModuleSpec => inFiles(normSpec(`model.${name}`, layer, hiddenSize));
  return {
    config,
    patches: inFiles(parameterSpec(`model.${names.tower}.patch_conv.weight`, [hiddenSize, 3, patch, patch])),
    firstNorm: norm(`${names.tower}.ln_pre`, -1),
    blocks: Array.from({ length: config.blocks }, (_, layer): GatedBlock => {
      const at = `${names.tower}.transformer.layers.${layer}`;
      const square = (name: string): ModuleSpec => linear(`${at}.attention.${name}`, layer, hiddenSize, hiddenSize);
      return {
        norm1: norm(`${at}.attention_norm`, layer),
        qkv: [square('q_proj'), square('k_proj'), square('v_proj')],
        o: square('o_proj'),
        norm2: norm(`${at}.ffn_norm`, layer),
        gate: linear(`${at}.feed_forward.gate_proj`, layer, intermediateSize, hiddenSize),
        up: linear(`${at}.feed_forward.up_proj`, layer, intermediateSize, hiddenSize),
        down: linear(`${at}.feed_forward.down_proj`, layer, hiddenSize, intermediateSize),
      };
    }),
    norm: norm(`${names.projector}.norm`, -1),
    merger: linear(`${names.projector}.patch_merger.merging_layer`, -1, hiddenSize, hiddenSize * merged ** 2),
    up: linear(`${names.projector}.linear_1`, -1, outputSize, hiddenSize, isBiased),
    down: linear(`${names.projector}.linear_2`, -1, outputSize, outputSize, isBiased),
  };
}

/** @throws ModelConfigError */
export const pixtral = (files: VisionFiles): VisionEncoder => encoderOf(pixtralTower(files));

/** @throws ModelConfigError */
export function lightOn(files: VisionFiles): VisionEncoder {
  const tower = lightOnTower(files);
  const encoder = encoderOf(tower);
  return { ...encoder, mmproj: () => lightOnMmproj(tower, encoder.parameters, EPSILON) };
}

function encoderOf(config: PixtralTower): VisionEncoder {
  const parts = partsOf(config);
  const { patches, firstNorm, blocks, norm, merger, up, down } = parts;
  const modules = [patches, firstNorm, ...blocks.flatMap(gatedBlockModules), norm, merger, up, down];
  // Patches at the right and lower edge that form no whole square are read, but become no vectors.
  const patchesOf = ({ resizes }: ImageView): number => {
    const { width, height } = elementAt(resizes, 0);
    const squares = Math.ceil((width * height) / (config.patch * config.merged) ** 2);
    return bucketOf(squares) * config.merged ** 2;
  };
  return {
    parameters: parametersOf(modules),
    modules,
    scale: config.scale,
    placeholder: config.texts.vector,
    layout: (image, maxPixels) => layoutOf(config, image, maxPixels),
    shapeOf: patchesOf,
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => patchFeeds(config, pixels, patchesOf(view)),
  };
}

/** @throws ModelConfigError for a size that the model does not take */
function layoutOf({ patch, merged, most, step, texts }: PixtralTower, image: ImageSize, maxPixels = Number.POSITIVE_INFINITY): ImageLayout {
  const factor = patch * merged;
  let limit = most;
  let resized = within(image, limit, step);
  while (resized.width * resized.height > maxPixels && Math.min(limit.width, limit.height) > factor) {
    limit = { width: limit.width - factor, height: limit.height - factor };
    resized = within(image, limit, step);
  }
  const { width, height } = image;
  const [rows, columns] = [Math.floor(resized.height / factor), Math.floor(resized.width / factor)];
  if (rows * columns === 0)
    throw new ModelConfigError(
      `This model takes no image of ${width} × ${height} pixels: its shorter side would be too short after resizing. Crop the image.`,
    );
  const row = texts.vector.repeat(columns);
  const text = `${`${row}${texts.row}`.repeat(rows - 1)}${row}${texts.end}`;
  return { text, views: [{ resizes: [resized], vectors: rows * columns }] };
}

/** Returns sides that do not exceed the limits before they are rounded up to multiples of a factor. */
function within({ width, height }: ImageSize, most: ImageSize, factor: number): ImageSize {
  const ratio = Math.max(1, height / most.height, width / most.width);
  const side = (pixels: number): number => Math.ceil((ratio > 1 ? Math.floor(pixels / ratio) : pixels) / factor) * factor;
  return { width: side(width), height: side(height) };
}

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, { config, patches, firstNorm, blocks, norm, merger, up, down }: Parts, count: number): Node {
  const { graph } = tracer;
  const { hiddenSize, heads, patch, merged, theta, projector } = config;
  const width = 3 * patch * patch;
  const rotary = axialTables(tracer, { theta, headDim: hiddenSize / heads, alternates: true }, count);
  const attended = { batch: 1, seen: graph.feed('seen', [1, count]), rotary };
  const sizes = { hiddenSize, heads, activation: config.activation, epsilon: EPSILON };
  const weight = graph.reshape(tracer.parameter(patches.weight), [hiddenSize, width]);
  const embedded = product(graph, tracer.compute, graph.feed('patches', [count, width]), weight, { transposeB: true });
  let x = tracer.rmsNorm(firstNorm, embedded, EPSILON);
  for (const block of blocks) x = gatedBlockStates(tracer, sizes, block, x, attended);
  const vectors = count / merged ** 2;
  const squares = graph.reshape(tracer.rmsNorm(norm, x, projector.epsilon), [vectors, merged ** 2, hiddenSize]);
  const joined = tracer.linear(merger, graph.reshape(graph.transpose(squares, [0, 2, 1]), [vectors, hiddenSize * merged ** 2]));
  const inner = activationOf(projector.activation)(graph, tracer.linear(up, joined));
  return graph.reshape(tracer.linear(down, inner), [1, vectors, projector.outputSize]);
}
