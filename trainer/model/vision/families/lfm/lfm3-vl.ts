/**
 * The encoder of LFM3-VL (Liquid AI 2026): most blocks have a gated convolution over neighboring patches in place of attention, with rotary
 * positions in two dimensions. Squares of neighboring patches become vectors.
 */

import type { Node } from '../../../../graph/graph.ts';
import type { HostArray } from '../../../../graph/types.ts';
import { elementAt } from '../../../../narrow.ts';
import { activationOf } from '../../../layer/activation.ts';
import {
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  normSpec,
  parameterSpec,
  parametersOf,
  underOtherNames,
} from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import {
  type Attended,
  axialTables,
  type GatedBlock,
  type GatedMlp,
  gatedBlockModules,
  gatedBlockStates,
  gatedStates,
} from '../../patches/gated-block.ts';
import { patchesOf } from '../../patches/patch-buckets.ts';
import { patchProducts } from '../../patches/patch-embedding.ts';
import { patchFeeds, placesOf } from '../../patches/patch-feeds.ts';
import { smartLayout } from '../../patches/smart-resize.ts';
import type { ImageView, ViewPixels, VisionEncoder, VisionFiles } from '../../vision-encoder.ts';
import { type Lfm3VlTower, lfm3VlTower } from './lfm3-vl-config.ts';

/** The text of an image's token, and its placeholder in chat templates. */
const IMAGE = '<|image_pad|>';

const TOWER = 'model.vision_tower';
const PROJECTOR = 'model.multi_modal_projector';
/** The epsilon of the projector's norm. */
const EPSILON = 1e-6;

/** A block with a convolution in place of attention. */
interface ConvolutionBlock extends GatedMlp {
  /** Makes the gate of the inputs, the gate of the outputs, and the inputs: [3 · hiddenSize, hiddenSize]. */
  readonly input: ModuleSpec;
  /** [hiddenSize, 1, kernel, kernel] */
  readonly kernel: ModuleSpec;
  readonly output: ModuleSpec;
}

type Block = { readonly kind: 'attention'; readonly own: GatedBlock } | { readonly kind: 'convolution'; readonly own: ConvolutionBlock };

interface Parts {
  readonly config: Lfm3VlTower;
  /** [hiddenSize, 3 · frames · patch²], by channel, frame, row and column. */
  readonly patches: ModuleSpec;
  readonly firstNorm: ModuleSpec;
  readonly blocks: readonly Block[];
  readonly norm: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

function blockOf({ hiddenSize, intermediateSize, heads, kvHeads, kernel, convolves }: Lfm3VlTower, layer: number): Block {
  const at = `${TOWER}.layers.${layer}`;
  const mlp = (name: string, out: number, width: number): ModuleSpec =>
    linearSpec(`${at}.feed_forward.${name}`, { part: 'mlp', layer }, out, width, false);
  const mixer = (name: string, out: number, width = hiddenSize): ModuleSpec =>
    linearSpec(`${at}.${name}`, { part: 'attention', layer }, out, width, false);
  const around: GatedMlp = {
    norm1: normSpec(`${at}.operator_norm`, layer, hiddenSize),
    norm2: normSpec(`${at}.ffn_norm`, layer, hiddenSize),
    gate: mlp('w1', intermediateSize, hiddenSize),
    up: mlp('w3', intermediateSize, hiddenSize),
    down: mlp('w2', hiddenSize, intermediateSize),
  };
  if (convolves[layer])
    return {
      kind: 'convolution',
      own: {
        ...around,
        input: mixer('conv.in_proj', 3 * hiddenSize),
        kernel: parameterSpec(`${at}.conv.spatial_conv.weight`, [hiddenSize, 1, kernel, kernel]),
        output: mixer('conv.out_proj', hiddenSize),
      },
    };
  const headDim = hiddenSize / heads;
  const headNorm = (name: string): ModuleSpec =>
    underOtherNames(normSpec(`${at}.self_attn.${name}_layernorm`, layer, headDim), [`${at}.self_attn.${name}_norm`]);
  return {
    kind: 'attention',
    own: {
      ...around,
      qkv: [mixer('self_attn.q_proj', hiddenSize), ...['k', 'v'].map(name => mixer(`self_attn.${name}_proj`, kvHeads * headDim))],
      headNorms: [headNorm('q'), headNorm('k')],
      o: mixer('self_attn.out_proj', hiddenSize),
    },
  };
}

function partsOf(config: Lfm3VlTower): Parts {
  const { hiddenSize, patch, frames, merged, outputSize, projector } = config;
  const place = { part: 'mlp', layer: -1 } as const;
  const patches = linearSpec(`${TOWER}.patchifier`, place, hiddenSize, 3 * frames * patch ** 2, false);
  return {
    config,
    patches: underOtherNames(patches, [`${TOWER}.patch_embed`]),
    firstNorm: normSpec(`${TOWER}.embedding_norm`, -1, hiddenSize),
    blocks: Array.from({ length: config.blocks }, (_, layer) => blockOf(config, layer)),
    norm: layerNormSpec(`${PROJECTOR}.layer_norm`, -1, hiddenSize),
    up: linearSpec(`${PROJECTOR}.linear_1`, place, projector.innerSize, hiddenSize * merged ** 2, projector.isBiased),
    down: linearSpec(`${PROJECTOR}.linear_2`, place, outputSize, projector.innerSize, projector.isBiased),
  };
}

/** The modules in the order of the forward pass. */
const modulesOf = (block: Block): ModuleSpec[] => {
  if (block.kind === 'attention') return gatedBlockModules(block.own);
  const { norm1, input, kernel, output, norm2, gate, up, down } = block.own;
  return [norm1, input, kernel, output, norm2, gate, up, down];
};

/** @throws ModelConfigError */
export function lfm3Vl(files: VisionFiles): VisionEncoder {
  const config = lfm3VlTower(files);
  const parts = partsOf(config);
  const { patches, firstNorm, blocks, norm, up, down } = parts;
  const modules = [patches, firstNorm, ...blocks.flatMap(modulesOf), norm, up, down];
  const countOf = (view: ImageView): number => patchesOf(view, config.merged);
  return {
    parameters: parametersOf(modules),
    modules,
    scale: config.scale,
    placeholder: IMAGE,
    layout: (image, maxPixels) => {
      // The tokens of an image count like others, so the text needs no grid.
      const { text, views } = smartLayout(config.limits, IMAGE, image, maxPixels);
      return { text, views };
    },
    shapeOf: countOf,
    trace: (tracer, count) => vectorsOf(tracer, parts, count),
    feeds: (view, pixels) => feedsOf(config, pixels, countOf(view)),
  };
}

/**
 * The feeds of `patchFeeds`, and `near` int32 [kernel², count]: the patches that the convolution of each patch reads, by row and column around
 * it. Beyond the borders of the image, it is `count`.
 */
function feedsOf(config: Lfm3VlTower, pixels: ViewPixels, count: number): Record<string, HostArray> {
  const { patch, merged, kernel } = config;
  const [rows, columns] = [pixels.height / patch, pixels.width / patch];
  const places = placesOf(rows, columns, merged);
  const order = new Int32Array(rows * columns);
  places.forEach(({ row, column }, i) => {
    order[row * columns + column] = i;
  });
  const near = new Int32Array(kernel ** 2 * count).fill(count);
  const reach = (kernel - 1) / 2;
  places.forEach(({ row, column }, i) => {
    for (let tap = 0; tap < kernel ** 2; tap++) {
      const [y, x] = [row + Math.floor(tap / kernel) - reach, column + (tap % kernel) - reach];
      if (y >= 0 && y < rows && x >= 0 && x < columns) near[tap * count + i] = order[y * columns + x] as number;
    }
  });
  return { ...patchFeeds(config, pixels, count), near };
}

/** [1, vectors, outputSize] */
function vectorsOf(tracer: Tracer, { config, patches, firstNorm, blocks, norm, up, down }: Parts, count: number): Node {
  const { graph } = tracer;
  const { hiddenSize, heads, theta, merged, kernel, epsilon, outputSize, projector } = config;
  const rotary = axialTables(tracer, { theta, headDim: hiddenSize / heads }, count);
  const attended: Attended = { batch: 1, seen: graph.feed('seen', [1, count]), rotary };
  const near = graph.feed('near', [kernel ** 2, count], 'int32');
  let x = tracer.rmsNorm(firstNorm, patchProducts(tracer, config, patches, count), epsilon);
  for (const block of blocks)
    x =
      block.kind === 'attention'
        ? gatedBlockStates(tracer, config, block.own, x, attended)
        : gatedStates(tracer, config, block.own, x, normal => convolved(tracer, config, block.own, normal, near));
  const vectors = count / merged ** 2;
  const joined = graph.reshape(tracer.layerNorm(norm, x, EPSILON), [vectors, hiddenSize * merged ** 2]);
  const inner = activationOf(projector.activation)(graph, tracer.linear(up, joined));
  return graph.reshape(tracer.linear(down, inner), [1, vectors, outputSize]);
}

/**
 * A gated convolution of each feature over the patches around each patch; x [count, hiddenSize] → the same shape.
 * @param near int32 [kernel², count]
 */
function convolved(tracer: Tracer, { hiddenSize, kernel: side }: Lfm3VlTower, block: ConvolutionBlock, x: Node, near: Node): Node {
  const { graph } = tracer;
  const count = elementAt(x.shape, 0);
  const product = tracer.linear(block.input, x);
  const third = (i: number): Node => graph.sliceAxis(product, 1, i * hiddenSize, hiddenSize);
  const edge = graph.constant(new Float32Array(hiddenSize), [1, hiddenSize], 'float32');
  const gated = graph.concat([graph.mul(third(0), third(2)), edge], 0);
  const weights = graph.transpose(graph.reshape(tracer.parameter(block.kernel.weight), [hiddenSize, side ** 2]), [1, 0]);
  const taps = Array.from({ length: side ** 2 }, (_, tap) => {
    const patches = graph.reshape(graph.sliceAxis(near, 0, tap, 1), [count]);
    return graph.mul(graph.gather(gated, patches), graph.sliceAxis(weights, 0, tap, 1));
  });
  const sum = taps.reduce((total, tap) => graph.add(total, tap));
  return tracer.linear(block.output, graph.mul(third(1), sum));
}
