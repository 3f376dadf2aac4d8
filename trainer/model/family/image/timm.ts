/** Models saved by timm: the architecture's name determines the sizes, and `model_args` changes them. */

import { z } from 'zod';
import { entryOf } from '../../../catalog/entries.ts';
import { lastOf, required } from '../../../narrow.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, readConfig, refuse } from '../../config-keys.ts';
import { type ClassifierModel, ModelConfigError } from '../../model-spec.ts';
import { unsupportedTimm } from '../../unsupported-architecture.ts';
import { size } from '../common-keys.ts';
import { resnet } from './resnet.ts';
import { headDeviation, IMAGENET_SIZE } from './resnet-config.ts';
import { timmNames as resnetNames } from './resnet-names.ts';
import { commonArgs, imageArg, labelsOf, poolProblems, readArgs, type TimmParams, timmKeys } from './timm-params.ts';
import { timmStaged } from './timm-stages.ts';
import { gridOf } from './tower.ts';
import { vit } from './vit.ts';
import { patchProblems, tablePositions } from './vit-config.ts';
import { timmNames as vitNames } from './vit-names.ts';

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

/** For example `vit_small_patch14_reg4_dinov2`. */
const DINO_NAME = /^vit_(small|base|large)_patch(\d+)_(?:reg(\d+)_)?dinov2$/;

/**
 * @param prefix of timm's names in files of Transformers' wrapper
 * @throws ModelConfigError for an unsupported architecture or argument
 */
export function timm(prefix: string, json: ConfigJson, options: ModelOptions): ClassifierModel {
  const { values: config, problems } = readConfig(timmKeys, 'timm model', json);
  refuse(problems, config.architecture);
  const name = config.architecture.replace(/\..*$/, '');
  const sizes = Object.hasOwn(resnets, name) ? resnets[name] : undefined;
  if (sizes) return timmResNet(sizes, { name, prefix, config, options });
  const staged = timmStaged({ name, prefix, config, options });
  if (staged) return staged;
  const parts = VIT_NAME.exec(name);
  if (parts) return timmVit(parts, { name, prefix, config, options });
  const dino = DINO_NAME.exec(name);
  if (dino) return timmDino(dino, { name, prefix, config, options });
  throw new ModelConfigError(unsupportedTimm(config.architecture));
}

const resnetArgs = {
  ...commonArgs,
  layers: computed(z.array(size(512)).min(1).max(64).optional()),
  channels: computed(z.array(size(65536)).min(1).max(64).optional()),
  cardinality: computed(size(4096).optional()),
  base_width: computed(size(4096).optional()),
} as const;

/** Channels of timm's stem; `stem_width` applies to deep stems only. */
const STEM = 64;
const EXPANSION = 4;

function timmResNet(sizes: ResNetSizes, params: TimmParams): ClassifierModel {
  const { name, config, options, prefix } = params;
  const args = { ...sizes, ...readArgs(resnetArgs, params) };
  const { channels = [64, 128, 256, 512], cardinality = 1, base_width: baseWidth = 64 } = args;
  const differ = contradiction('model_args', `model_args has ${args.layers.length} layers and ${channels.length} channels`);
  refuse([...poolProblems(config, 'avg'), ...(args.layers.length === channels.length ? [] : [differ])], name);
  const isBottleneck = sizes.block === 'bottleneck';
  const last = lastOf(channels) * (isBottleneck ? EXPANSION : 1);
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
  img_size: imageArg,
  patch_size: computed(size(1024).optional()),
  embed_dim: computed(size(16384).optional()),
  depth: computed(size(256).optional()),
  num_heads: computed(size(256).optional()),
  mlp_ratio: computed(z.number().positive().max(64).optional()),
  qkv_bias: computed(z.boolean().optional()),
} as const;

function timmVit([, kind, named = 'base', distilled, patch, image]: readonly string[], params: TimmParams): ClassifierModel {
  const firsts = distilled === undefined ? 1 : 2;
  return timmTransformer(params, {
    family: kind === 'deit' ? 'deit' : 'vit',
    named,
    side: Number(image),
    patch: Number(patch),
    names: vitNames(params.prefix),
    heads: firsts,
    tokens: distilled === undefined ? [1] : [1, 1],
    firsts,
    isScaled: false,
  });
}

/** The image size of DINOv2 in timm. */
const DINO_SIDE = 518;

/** DINOv2: the head reads only the class token, and registers have no positions. */
const timmDino = ([, named = 'base', patch, registers]: readonly string[], params: TimmParams): ClassifierModel =>
  timmTransformer(params, {
    family: 'dinov2',
    named,
    side: DINO_SIDE,
    patch: Number(patch),
    names: vitNames(params.prefix, 'reg_token'),
    heads: 1,
    tokens: [1, Number(registers ?? 0)],
    firsts: registers === undefined ? 1 : 0,
    isScaled: true,
  });

/** The differences between timm's vision transformers. */
interface TransformerForm {
  readonly family: string;
  /** The size in its name: `tiny`, `small` … */
  readonly named: string;
  /** Side of the image and of a patch in pixels, unless an argument changes it. */
  readonly side: number;
  readonly patch: number;
  readonly names: ReturnType<typeof vitNames>;
  /** The number of heads. */
  readonly heads: number;
  readonly tokens: readonly number[];
  /** Number of tokens before the patches that have positions. */
  readonly firsts: number;
  readonly isScaled: boolean;
}

function timmTransformer(params: TimmParams, form: TransformerForm): ClassifierModel {
  const { name, config } = params;
  const { family, names, tokens, firsts, isScaled } = form;
  const sizes: (typeof vits)[keyof typeof vits] = required(entryOf(vits, form.named), `the sizes of a ViT ${form.named}`);
  const args = { ...sizes, ...readArgs(vitArgs, params) };
  const { img_size: side = form.side, patch_size: patch = form.patch, embed_dim: hiddenSize, qkv_bias: isBiased = true } = args;
  const sides: [number, number] = typeof side === 'number' ? [side, side] : side;
  const patches: [number, number] = [patch, patch];
  const odd = contradiction('model_args', `embed_dim ${hiddenSize} is not a multiple of num_heads ${args.num_heads}`);
  refuse([...poolProblems(config, 'token'), ...patchProblems(sides, patches), ...(hiddenSize % args.num_heads ? [odd] : [])], name);
  return vit({
    family,
    ...labelsOf(params, 0.02),
    names: { ...names, heads: names.heads.slice(0, form.heads) },
    tokens,
    pooling: 'first',
    positions: tablePositions({ grid: gridOf(sides, patches), firsts, hiddenSize }),
    image: sides,
    isResizable: false,
    patch: patches,
    channels: args.in_chans ?? 3,
    hiddenSize,
    intermediateSize: Math.floor(hiddenSize * (args.mlp_ratio ?? 4)),
    blocks: args.depth,
    heads: args.num_heads,
    biased: { q: isBiased, k: isBiased, v: isBiased, o: true, mlp: true },
    isScaled,
    pathDropout: { attention: 0, mlp: 0 },
    // timm's value; Transformers uses 1e-12.
    epsilon: 1e-6,
    activation: 'gelu',
    dropout: 0,
    embeddingDropout: 0,
    attentionDropout: 0,
  });
}
