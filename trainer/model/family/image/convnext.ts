/**
 * ConvNeXt (Liu et al. 2022) and ConvNeXt V2 (Woo et al. 2023): depthwise convolutions, each followed by an MLP at every position of the
 * image.
 */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { activationOf } from '../../layer/activation.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import {
  type BiasedSpec,
  type ConvSpec,
  convSpec,
  isConv,
  layerNormSpec,
  linearSpec,
  type ModuleSpec,
  patchSpec,
  scaleSpec,
} from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { headSpec, type Labels } from '../labels.ts';
import type { ConvNextNames } from './convnext-names.ts';
import { imageClassifier } from './image-input.ts';

/** The sizes and switches of one model. */
export interface ConvNextConfig extends Labels {
  readonly family: 'convnext' | 'convnextv2';
  readonly names: ConvNextNames;
  /** Height and width in pixels: any that can be halved often enough. */
  readonly image: readonly [number, number];
  readonly channels: number;
  /** Size of the first convolution's patches, in pixels. */
  readonly patch: readonly [number, number];
  readonly stages: readonly { readonly depth: number; readonly width: number }[];
  readonly activation: string;
  /** True if the MLP's layers are stored as 1 × 1 convolutions, as in timm's small models. */
  readonly hasConvMlp: boolean;
  /** How channels are kept in check: a scale of each layer's output, a norm over the image inside the MLP, or neither. */
  readonly restraint: 'scale' | 'response' | 'none';
  /** Epsilon of the last norm. */
  readonly epsilon: number;
  /** Probability that a sample skips the last layer; it rises from 0 at the first layer. */
  readonly pathDropout: number;
}

interface Layer {
  readonly conv: ConvSpec;
  readonly norm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly response: BiasedSpec | undefined;
  readonly down: ModuleSpec;
  readonly scale: ModuleSpec | undefined;
  readonly pathDropout: number;
}

interface Stage {
  readonly downsample: { readonly norm: BiasedSpec; readonly conv: ConvSpec } | undefined;
  readonly layers: readonly Layer[];
}

interface Parts {
  readonly config: ConvNextConfig;
  readonly stem: { readonly conv: ConvSpec; readonly norm: BiasedSpec };
  readonly stages: readonly Stage[];
  readonly finalNorm: BiasedSpec;
  readonly head: ModuleSpec;
}

/** Epsilon of every norm but the last. */
const EPSILON = 1e-6;
/** Width of the MLP inside, as a multiple of its input. */
const EXPANSION = 4;

export function convNext(config: ConvNextConfig): ClassifierModel {
  const { names, labels, channels, patch, stages } = config;
  const [first, last] = [stages[0]?.width ?? 0, stages.at(-1)?.width ?? 0];
  const parts: Parts = {
    config,
    stem: { conv: patchSpec(names.stem.conv, channels, first, patch), norm: layerNormSpec(names.stem.norm, -1, first) },
    stages: stagesOf(config),
    finalNorm: layerNormSpec(names.finalNorm, -1, last),
    head: headSpec(linearSpec(names.head, { part: 'head', layer: -1 }, labels.length, last), config.fresh),
  };
  const layers = parts.stages.flatMap(stage => stage.layers);
  const inStages = parts.stages.flatMap(({ downsample, layers: own }): ModuleSpec[] => [
    ...(downsample ? [downsample.norm, downsample.conv] : []),
    ...own.flatMap(modulesOf),
  ]);
  const modules = [parts.stem.conv, parts.stem.norm, ...inStages, parts.finalNorm, parts.head];
  return imageClassifier(config, {
    family: config.family,
    blocks: layers.length,
    hiddenSize: last,
    modules,
    head: parts.head,
    resizable: true,
    features: (tracer, pixels) => features(tracer, pixels, parts),
  });
}

const modulesOf = ({ conv, norm, up, response, down, scale }: Layer): ModuleSpec[] =>
  [conv, norm, up, response, down, scale].filter(module => module !== undefined);

/** The stages with their layers. Layers are numbered across stages; a downsampling layer belongs to the layer after it. */
function stagesOf({ names, stages, restraint, hasConvMlp, pathDropout }: ConvNextConfig): Stage[] {
  const count = stages.reduce((sum, { depth }) => sum + depth, 0);
  let number = 0;
  return stages.map(({ depth, width }, s) => {
    const before = stages[s - 1]?.width;
    const down =
      before === undefined ? undefined : { before, own: names.downsample(s), place: { part: 'convolution', layer: number } as const };
    return {
      downsample: down && {
        norm: layerNormSpec(down.own.norm, number, down.before),
        conv: convSpec(down.own.conv, down.place, { in: down.before, out: width, size: 2, stride: 2, padding: 0, biased: true }),
      },
      layers: Array.from({ length: depth }, (_, l) => {
        const layer = number++;
        const own = names.layer(s, l);
        const dense = (name: string, out: number, from: number): ModuleSpec => {
          const place = { part: 'mlp', layer } as const;
          return hasConvMlp
            ? convSpec(name, place, { in: from, out, size: 1, stride: 1, biased: true })
            : linearSpec(name, place, out, from);
        };
        return {
          conv: convSpec(
            own.conv,
            { part: 'convolution', layer },
            { in: width, out: width, size: 7, stride: 1, groups: width, biased: true },
          ),
          norm: layerNormSpec(own.norm, layer, width),
          up: dense(own.up, EXPANSION * width, width),
          response: restraint === 'response' ? { ...layerNormSpec(own.response, layer, EXPANSION * width), decays: true } : undefined,
          down: dense(own.down, width, EXPANSION * width),
          scale: restraint === 'scale' ? scaleSpec(own.scale, own.scale, layer, width) : undefined,
          pathDropout: count > 1 ? (pathDropout * layer) / (count - 1) : 0,
        };
      }),
    };
  });
}

/** The input of the head, the mean over all positions: [batch, channels]. */
function features(tracer: Tracer, pixels: Node, { config, stem, stages, finalNorm }: Parts): Node {
  const { graph } = tracer;
  let x = tracer.layerNorm(stem.norm, tracer.conv(stem.conv, pixels), EPSILON);
  for (const { downsample, layers } of stages) {
    const before = x;
    if (downsample) x = graph.checkpointed(x, () => tracer.conv(downsample.conv, tracer.layerNorm(downsample.norm, before, EPSILON)));
    for (const layer of layers) x = graph.checkpointed(x, () => runLayer(tracer, config, layer, x));
  }
  return tracer.layerNorm(finalNorm, graph.mean(x, [1, 2]), config.epsilon);
}

/** x [batch, height, width, channels] → the same. */
function runLayer(tracer: Tracer, config: ConvNextConfig, layer: Layer, x: Node): Node {
  const { graph } = tracer;
  const [batch, height, width, channels] = dimensions(x.shape, 4);
  const places = graph.reshape(tracer.conv(layer.conv, x), [batch * height * width, channels]);
  const activation = activationOf(config.activation);
  const dense = (module: ModuleSpec, rows: Node): Node => {
    if (!isConv(module)) return tracer.linear(module, rows);
    const y = tracer.conv(module, graph.reshape(rows, [batch, height, width, rows.shape[1] as number]));
    return graph.reshape(y, [batch * height * width, y.shape[3] as number]);
  };
  const inner = activation(graph, dense(layer.up, tracer.layerNorm(layer.norm, places, EPSILON)));
  const held = layer.response ? tracer.responseNorm(layer.response, inner, batch) : inner;
  const mlp = dense(layer.down, held);
  const change = tracer.dropPath(layer.scale ? tracer.scale(layer.scale, mlp) : mlp, layer.pathDropout, batch);
  return graph.add(x, graph.reshape(change, x.shape));
}
