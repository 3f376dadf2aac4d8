/** Models that timm has saved: the architecture's name stands for its sizes, and `model_args` changes them. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  notSupported,
  readConfig,
  refuse,
  refusedUnless,
  unknownKeys,
  withoutEffect,
} from '../config-keys.ts';
import { type ClassifierModel, type ConfigProblem, ModelConfigError } from '../model-spec.ts';
import { commonKeys, size } from './common-keys.ts';
import { readLabels } from './labels.ts';
import { resnet } from './resnet.ts';
import { headDeviation, IMAGENET_SIZE } from './resnet-config.ts';
import { timmNames as resnetNames } from './resnet-names.ts';
import { gridOf, vit } from './vit.ts';
import { patchProblems, tablePositions } from './vit-config.ts';
import { timmNames as vitNames } from './vit-names.ts';

/** The keys of timm's own files, and of those that Transformers wraps. */
export const timmKeys = {
  ...commonKeys,
  architecture: computed(z.string()),
  num_classes: computed(
    z
      .number()
      .int()
      .min(0)
      .max(2 ** 20),
  ),
  label_names: computed(z.array(z.string()).nullish()),
  global_pool: computed(z.string().nullish()),
  model_args: computed(z.record(z.string(), z.unknown()).nullish()),
  pretrained_cfg: computed(z.looseObject({ input_size: z.tuple([size(64), size(8192), size(8192)]).optional() }).nullish()),
  ...withoutEffect('describes the labels', 'label_descriptions', 'id2label', 'label2id', 'num_labels', 'problem_type'),
  ...withoutEffect('follows from the architecture', 'num_features', 'initializer_range'),
  ...refusedUnless([true], 'do_pooling'),
} as const;

type TimmConfig = ConfigValues<typeof timmKeys>;

interface ResNetSizes {
  readonly block: 'basic' | 'bottleneck';
  readonly layers: readonly number[];
  /** Groups of the 3 × 3 convolutions, and their width at 64 channels. */
  readonly cardinality?: number;
  readonly base_width?: number;
}

const resnets: Readonly<Record<string, ResNetSizes>> = {
  resnet18: { block: 'basic', layers: [2, 2, 2, 2] },
  resnet34: { block: 'basic', layers: [3, 4, 6, 3] },
  resnet26: { block: 'bottleneck', layers: [2, 2, 2, 2] },
  resnet50: { block: 'bottleneck', layers: [3, 4, 6, 3] },
  resnet101: { block: 'bottleneck', layers: [3, 4, 23, 3] },
  resnet152: { block: 'bottleneck', layers: [3, 8, 36, 3] },
  wide_resnet50_2: { block: 'bottleneck', layers: [3, 4, 6, 3], base_width: 128 },
  wide_resnet101_2: { block: 'bottleneck', layers: [3, 4, 23, 3], base_width: 128 },
  resnext50_32x4d: { block: 'bottleneck', layers: [3, 4, 6, 3], cardinality: 32, base_width: 4 },
  resnext101_32x4d: { block: 'bottleneck', layers: [3, 4, 23, 3], cardinality: 32, base_width: 4 },
  resnext101_32x8d: { block: 'bottleneck', layers: [3, 4, 23, 3], cardinality: 32, base_width: 8 },
  resnext101_32x16d: { block: 'bottleneck', layers: [3, 4, 23, 3], cardinality: 32, base_width: 16 },
  resnext101_64x4d: { block: 'bottleneck', layers: [3, 4, 23, 3], cardinality: 64, base_width: 4 },
};

const vits = {
  tiny: { embed_dim: 192, depth: 12, num_heads: 3 },
  small: { embed_dim: 384, depth: 12, num_heads: 6 },
  base: { embed_dim: 768, depth: 12, num_heads: 12 },
  large: { embed_dim: 1024, depth: 24, num_heads: 16 },
} as const;

/** For example `vit_base_patch16_224`, `deit_tiny_distilled_patch16_224`. */
const VIT_NAME = /^(vit|deit)_(tiny|small|base|large)(_distilled)?_patch(\d+)_(\d+)$/;

const supportedTimm = `${Object.keys(resnets).join(', ')}, and vit_ and deit_ of the sizes ${Object.keys(vits).join(', ')}`;

/**
 * @param prefix before timm's names, where Transformers has wrapped the model
 * @throws ModelConfigError for an architecture or an argument that is not supported
 */
export function timm(prefix: string, json: ConfigJson, options: ModelOptions): ClassifierModel {
  const { values: config, problems } = readConfig(timmKeys, 'timm model', json);
  refuse(problems, config.architecture);
  const name = config.architecture.replace(/\..*$/, '');
  const sizes = Object.hasOwn(resnets, name) ? resnets[name] : undefined;
  if (sizes) return timmResNet(sizes, { name, prefix, config, options });
  const parts = VIT_NAME.exec(name);
  if (parts) return timmVit(parts, { name, prefix, config, options });
  throw new ModelConfigError(`config.json names timm's architecture ${config.architecture}; supported are ${supportedTimm}`);
}

interface TimmParams {
  readonly name: string;
  readonly prefix: string;
  readonly config: TimmConfig;
  readonly options: ModelOptions;
}

const labelsOf = ({ name, config, options }: TimmParams, std: number) =>
  readLabels({
    architecture: name,
    json: config.label_names ? { id2label: { ...config.label_names } } : { num_labels: config.num_classes || 2 },
    options,
    hasHead: config.num_classes > 0,
    std,
  });

/** Reads the arguments that timm builds a model with: every argument has an effect, so that one that is not listed is refused. */
function readArgs<Table extends KeyTable>(table: Table, { name, config }: TimmParams): ConfigValues<Table> {
  const { model_args: args } = config;
  const others = unknownKeys(table, args ?? {}).map(key => notSupported(['model_args', key], args?.[key], Object.keys(table).join(', ')));
  refuse(others, name);
  return readConfig(table, `${name} of timm (model_args)`, args ?? {}).values;
}

const commonArgs = {
  in_chans: computed(size(64).optional()),
  num_classes: computed(z.number().optional()),
  global_pool: computed(z.string().optional()),
} as const;

const resnetArgs = {
  ...commonArgs,
  layers: computed(z.array(size(512)).min(1).max(64).optional()),
  channels: computed(z.array(size(65536)).min(1).max(64).optional()),
  cardinality: computed(size(4096).optional()),
  base_width: computed(size(4096).optional()),
} as const;

/** timm's stem; `stem_width` is for deep stems only. */
const STEM = 64;
const EXPANSION = 4;

function timmResNet(sizes: ResNetSizes, params: TimmParams): ClassifierModel {
  const { name, config, options, prefix } = params;
  const args = { ...sizes, ...readArgs(resnetArgs, params) };
  const { channels = [64, 128, 256, 512], cardinality = 1, base_width: baseWidth = 64 } = args;
  const differ = contradiction('model_args', `model_args has ${args.layers.length} layers and ${channels.length} channels`);
  refuse([...poolProblems(config, 'avg'), ...(args.layers.length === channels.length ? [] : [differ])], name);
  const isBottleneck = sizes.block === 'bottleneck';
  const last = (channels.at(-1) as number) * (isBottleneck ? EXPANSION : 1);
  const [, ...trained] = config.pretrained_cfg?.input_size ?? [0, ...IMAGENET_SIZE];
  return resnet({
    family: cardinality > 1 ? 'resnext' : 'resnet',
    ...labelsOf(params, headDeviation(last)),
    names: resnetNames(prefix),
    image: options.imageSize ?? trained,
    channels: args.in_chans ?? 3,
    stemSize: STEM,
    activation: 'relu',
    stages: channels.map((planes, i) => ({
      depth: args.layers[i] as number,
      out: isBottleneck ? planes * EXPANSION : planes,
      bottleneck: isBottleneck
        ? { width: Math.floor(planes * (baseWidth / 64)) * cardinality, groups: cardinality, stridesFirst: false }
        : undefined,
      stride: i > 0 ? 2 : 1,
    })),
  });
}

const vitArgs = {
  ...commonArgs,
  img_size: computed(z.union([size(8192), z.tuple([size(8192), size(8192)])]).optional()),
  patch_size: computed(size(1024).optional()),
  embed_dim: computed(size(16384).optional()),
  depth: computed(size(256).optional()),
  num_heads: computed(size(256).optional()),
  mlp_ratio: computed(z.number().positive().max(64).optional()),
  qkv_bias: computed(z.boolean().optional()),
} as const;

function timmVit([, kind, named = 'base', distilled, patch, image]: readonly string[], params: TimmParams): ClassifierModel {
  const { name, config, prefix } = params;
  const args = { ...vits[named as keyof typeof vits], ...readArgs(vitArgs, params) };
  const { img_size: side = Number(image), patch_size: patchSize = Number(patch), embed_dim: hiddenSize } = args;
  const sides: [number, number] = typeof side === 'number' ? [side, side] : side;
  const patches: [number, number] = [patchSize, patchSize];
  const names = vitNames(prefix);
  const odd = contradiction('model_args', `embed_dim ${hiddenSize} is no multiple of num_heads ${args.num_heads}`);
  refuse([...poolProblems(config, 'token'), ...patchProblems(sides, patches), ...(hiddenSize % args.num_heads ? [odd] : [])], name);
  return vit({
    family: kind === 'deit' ? 'deit' : 'vit',
    ...labelsOf(params, 0.02),
    names: { ...names, heads: names.heads.slice(0, distilled === undefined ? 1 : 2) },
    tokens: distilled === undefined ? [1] : [1, 1],
    pooling: 'first',
    positions: tablePositions({ grid: gridOf(sides, patches), firsts: distilled === undefined ? 1 : 2, hiddenSize }),
    image: sides,
    isResizable: false,
    patch: patches,
    channels: args.in_chans ?? 3,
    hiddenSize,
    intermediateSize: Math.floor(hiddenSize * (args.mlp_ratio ?? 4)),
    blocks: args.depth,
    heads: args.num_heads,
    biased: { q: args.qkv_bias ?? true, k: args.qkv_bias ?? true, v: args.qkv_bias ?? true, o: true, mlp: true },
    isScaled: false,
    pathDropout: { attention: 0, mlp: 0 },
    // timm's, where Transformers has 1e-12.
    epsilon: 1e-6,
    activation: 'gelu',
    dropout: 0,
    embeddingDropout: 0,
    attentionDropout: 0,
  });
}

function poolProblems({ global_pool, model_args: args }: TimmConfig, supported: string): ConfigProblem[] {
  const own = args?.global_pool;
  const pool = own ?? global_pool ?? supported;
  const path = own === undefined || own === null ? ['global_pool'] : ['model_args', 'global_pool'];
  return pool === supported ? [] : [notSupported(path, pool, [supported])];
}
