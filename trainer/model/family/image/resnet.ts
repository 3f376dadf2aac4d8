/** Residual networks (He et al. 2016), basic and bottleneck, and ResNeXt with grouped convolutions (Xie et al. 2017). */

import type { Node } from '../../../graph/graph.ts';
import { type Activation, activationOf } from '../../layer/activation.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import {
  type BatchNormSpec,
  batchNormSpec,
  type ConvSizes,
  type ConvSpec,
  convSpec,
  linearSpec,
  type ModuleSpec,
  squareWindow,
} from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import { imageClassifier } from './image-input.ts';
import type { ConvNames, ResNetNames } from './resnet-names.ts';

/** The sizes and switches of one model. */
export interface ResNetConfig extends Labels {
  readonly family: 'resnet' | 'resnext';
  readonly names: ResNetNames;
  /** Height and width in pixels: any that can be halved often enough. */
  readonly image: readonly [number, number];
  readonly channels: number;
  readonly stemSize: number;
  readonly stages: readonly Stage[];
  readonly activation: string;
}

export interface Stage {
  readonly depth: number;
  /** Number of output channels of its layers. */
  readonly out: number;
  /** Sizes inside a bottleneck; undefined for basic layers of two 3 × 3 convolutions. */
  readonly bottleneck: { readonly width: number; readonly groups: number; readonly stridesFirst: boolean } | undefined;
  /** The stride of its first layer. */
  readonly stride: number;
}

/** A convolution and the norm after it. */
interface Pair {
  readonly conv: ConvSpec;
  readonly norm: BatchNormSpec;
}

interface Layer {
  readonly pairs: readonly Pair[];
  readonly shortcut: Pair | undefined;
}

interface Parts {
  readonly stem: Pair;
  readonly layers: readonly Layer[];
  readonly head: ModuleSpec;
  /** The activation after the stem and after each sum; between the convolutions of a layer it is always relu, as in Transformers. */
  readonly activation: Activation;
}

/** PyTorch's defaults, used to train every model of this family. */
const BATCH_NORM = { epsilon: 1e-5, momentum: 0.1 } as const;

export function resnet(config: ResNetConfig): ClassifierModel {
  const { names, labels, channels, stemSize } = config;
  const hiddenSize = config.stages.at(-1)?.out ?? stemSize;
  const layers = layersOf(config);
  const parts: Parts = {
    stem: pair(names.stem, -1, { in: channels, out: stemSize, size: 7, stride: 2 }),
    layers,
    head: headSpec(linearSpec(names.head, { part: 'head', layer: -1 }, labels.length, hiddenSize), config.fresh),
    activation: activationOf(config.activation),
  };
  const inLayers = layers.flatMap(({ pairs, shortcut }) => (shortcut ? [...pairs, shortcut] : pairs));
  const modules = [...[parts.stem, ...inLayers].flatMap(({ conv, norm }): ModuleSpec[] => [conv, norm]), parts.head];
  return imageClassifier(config, {
    family: config.family,
    blocks: layers.length,
    hiddenSize,
    modules,
    head: parts.head,
    resizable: true,
    features: (tracer, pixels) => features(tracer, pixels, parts),
  });
}

const pair = ({ conv, norm }: ConvNames, layer: number, sizes: ConvSizes): Pair => ({
  conv: convSpec(conv, { part: 'convolution', layer }, sizes),
  norm: batchNormSpec(norm, layer, sizes.out),
});

/** All layers of all stages; layers are numbered across stages. */
function layersOf({ stages, stemSize, names }: ResNetConfig): Layer[] {
  let before = stemSize;
  let number = 0;
  return stages.flatMap((stage, s) =>
    Array.from({ length: stage.depth }, (_, l): Layer => {
      const stride = l === 0 ? stage.stride : 1;
      const from = before;
      before = stage.out;
      const layer = number++;
      const pairs = convolutionsOf(stage, from, stride).map((sizes, i) => pair(names.conv(s, l, i), layer, sizes));
      const needsShortcut = from !== stage.out || stride !== 1;
      const shortcut = needsShortcut ? pair(names.shortcut(s, l), layer, { in: from, out: stage.out, size: 1, stride }) : undefined;
      return { pairs, shortcut };
    }),
  );
}

function convolutionsOf({ out, bottleneck }: Stage, from: number, stride: number): ConvSizes[] {
  if (!bottleneck)
    return [
      { in: from, out, size: 3, stride },
      { in: out, out, size: 3, stride: 1 },
    ];
  const { width, groups, stridesFirst } = bottleneck;
  return [
    { in: from, out: width, size: 1, stride: stridesFirst ? stride : 1 },
    { in: width, out: width, size: 3, stride: stridesFirst ? 1 : stride, groups },
    { in: width, out, size: 1, stride: 1 },
  ];
}

const runPair = (tracer: Tracer, { conv, norm }: Pair, x: Node): Node => tracer.batchNorm(norm, tracer.conv(conv, x), BATCH_NORM);

/** The input of the head, the mean over all positions: [batch, hiddenSize]. */
function features(tracer: Tracer, pixels: Node, { stem, layers, activation }: Parts): Node {
  const { graph } = tracer;
  let x = graph.maxPool2d(activation(graph, runPair(tracer, stem, pixels)), { ...squareWindow(2, 1), size: [3, 3] });
  for (const { pairs, shortcut } of layers) {
    x = graph.checkpointed(x, () => {
      const inner = pairs.reduce((y, each, i) => {
        const normal = runPair(tracer, each, y);
        // Round first: then the backward pass and the next convolution need only one narrow tensor.
        return i < pairs.length - 1 ? graph.relu(graph.cast(normal, tracer.compute)) : normal;
      }, x);
      return activation(graph, graph.add(inner, shortcut ? runPair(tracer, shortcut, x) : x));
    });
  }
  return graph.mean(x, [1, 2]);
}
