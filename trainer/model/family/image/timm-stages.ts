/** ConvNeXt and Swin under timm's names: the name determines the sizes, and `model_args` changes them. */

import { z } from 'zod';
import { required } from '../../../narrow.ts';
import { computed, contradiction, notSupported, refuse } from '../../config-keys.ts';
import type { ClassifierModel } from '../../model-spec.ts';
import { rate, size } from '../common-keys.ts';
import { convNext } from './convnext.ts';
import { timmNames as convNextNames } from './convnext-names.ts';
import { IMAGENET_SIZE } from './resnet-config.ts';
import { gridsOf, type SwinConfig, swin } from './swin.ts';
import { swinStages, windowProblems } from './swin-config.ts';
import { timmNames as swinNames } from './swin-names.ts';
import { commonArgs, imageArg, labelsOf, poolProblems, readArgs, type TimmParams } from './timm-params.ts';
import { patchProblems } from './vit-config.ts';

interface StageSizes {
  readonly depths: readonly number[];
  readonly dims: readonly number[];
}

/** Names of models whose MLP layers are stored as convolutions. */
const CONV_MLP = /_(atto|femto|pico|nano)$/;

const convNexts: Readonly<Record<string, StageSizes>> = {
  convnext_atto: { depths: [2, 2, 6, 2], dims: [40, 80, 160, 320] },
  convnext_femto: { depths: [2, 2, 6, 2], dims: [48, 96, 192, 384] },
  convnext_pico: { depths: [2, 2, 6, 2], dims: [64, 128, 256, 512] },
  convnext_nano: { depths: [2, 2, 8, 2], dims: [80, 160, 320, 640] },
  convnext_tiny: { depths: [3, 3, 9, 3], dims: [96, 192, 384, 768] },
  convnext_small: { depths: [3, 3, 27, 3], dims: [96, 192, 384, 768] },
  convnext_base: { depths: [3, 3, 27, 3], dims: [128, 256, 512, 1024] },
  convnext_large: { depths: [3, 3, 27, 3], dims: [192, 384, 768, 1536] },
  convnext_xlarge: { depths: [3, 3, 27, 3], dims: [256, 512, 1024, 2048] },
  convnextv2_atto: { depths: [2, 2, 6, 2], dims: [40, 80, 160, 320] },
  convnextv2_femto: { depths: [2, 2, 6, 2], dims: [48, 96, 192, 384] },
  convnextv2_pico: { depths: [2, 2, 6, 2], dims: [64, 128, 256, 512] },
  convnextv2_nano: { depths: [2, 2, 8, 2], dims: [80, 160, 320, 640] },
  convnextv2_tiny: { depths: [3, 3, 9, 3], dims: [96, 192, 384, 768] },
  convnextv2_small: { depths: [3, 3, 27, 3], dims: [96, 192, 384, 768] },
  convnextv2_base: { depths: [3, 3, 27, 3], dims: [128, 256, 512, 1024] },
  convnextv2_large: { depths: [3, 3, 27, 3], dims: [192, 384, 768, 1536] },
  convnextv2_huge: { depths: [3, 3, 27, 3], dims: [352, 704, 1408, 2816] },
};

const swins: Readonly<
  Record<string, { readonly embed_dim: number; readonly depths: readonly number[]; readonly num_heads: readonly number[] }>
> = {
  tiny: { embed_dim: 96, depths: [2, 2, 6, 2], num_heads: [3, 6, 12, 24] },
  small: { embed_dim: 96, depths: [2, 2, 18, 2], num_heads: [3, 6, 12, 24] },
  base: { embed_dim: 128, depths: [2, 2, 18, 2], num_heads: [4, 8, 16, 32] },
  large: { embed_dim: 192, depths: [2, 2, 18, 2], num_heads: [6, 12, 24, 48] },
};

/** For example `swin_tiny_patch4_window7_224`. */
const SWIN_NAME = /^swin_(tiny|small|base|large)_patch(\d+)_window(\d+)_(\d+)$/;

/** Returns the model, or undefined if the name belongs to another family. */
export function timmStaged(params: TimmParams): ClassifierModel | undefined {
  const convNext = Object.hasOwn(convNexts, params.name) ? convNexts[params.name] : undefined;
  if (convNext) return timmConvNext(convNext, params);
  const parts = SWIN_NAME.exec(params.name);
  return parts ? timmSwin(parts, params) : undefined;
}

const counts = (most: number) => computed(z.array(size(most)).min(1).max(64).optional());

/** timm builds four stages. */
const four = (most: number) => computed(z.array(size(most)).length(4).optional());

const convNextArgs = { ...commonArgs, depths: four(512), dims: four(65536), drop_path_rate: computed(rate.optional()) } as const;

/** Size of the first convolution's patches, in pixels. */
const STEM = 4;
/** Size of one place after the last stage, in pixels. */
const SHRINKS = STEM * 2 ** 3;

function timmConvNext(sizes: StageSizes, params: TimmParams): ClassifierModel {
  const { name, config, options, prefix } = params;
  const args = readArgs(convNextArgs, params);
  const { depths = sizes.depths, dims = sizes.dims } = args;
  const isSecond = name.startsWith('convnextv2');
  const [, ...trained] = config.pretrained_cfg?.input_size ?? [0, ...IMAGENET_SIZE];
  const image = options.imageSize ?? trained;
  refuse([...poolProblems(config, 'avg'), ...patchProblems(image, [SHRINKS, SHRINKS])], name);
  return convNext({
    family: isSecond ? 'convnextv2' : 'convnext',
    ...labelsOf(params, 0.02),
    names: convNextNames(prefix),
    image,
    channels: args.in_chans ?? 3,
    patch: [STEM, STEM],
    stages: dims.map((width, i) => ({ depth: depths[i] as number, width })),
    activation: 'gelu',
    hasConvMlp: CONV_MLP.test(name),
    restraint: isSecond ? 'response' : 'scale',
    epsilon: 1e-6,
    pathDropout: args.drop_path_rate ?? 0,
  });
}

const swinArgs = {
  ...commonArgs,
  img_size: imageArg,
  patch_size: computed(size(1024).optional()),
  window_size: computed(size(256).optional()),
  embed_dim: computed(size(16384).optional()),
  depths: counts(512),
  num_heads: counts(256),
  drop_path_rate: computed(rate.optional()),
} as const;

function timmSwin([, named = 'base', patch, window, image]: readonly string[], params: TimmParams): ClassifierModel {
  const { name, config, prefix } = params;
  const args = { ...required(swins[named], `the sizes of a Swin ${named}`), ...readArgs(swinArgs, params) };
  const { img_size: side = Number(image), patch_size: patchSize = Number(patch) } = args;
  const sides: [number, number] = typeof side === 'number' ? [side, side] : side;
  const stages = swinStages({
    ...{
      width: args.embed_dim,
      depths: args.depths,
      heads: args.num_heads,
      ratio: 4,
      pathDropout: args.drop_path_rate ?? 0.1,
      dropsMlp: true,
    },
    block: {
      biased: { q: true, k: true, v: true, o: true, mlp: true },
      epsilon: 1e-5,
      activation: 'gelu',
      dropout: 0,
      attentionDropout: 0,
    },
  });
  const built: SwinConfig = {
    ...labelsOf(params, 0.02),
    names: swinNames(prefix),
    image: sides,
    isResizable: false,
    patch: [patchSize, patchSize],
    channels: args.in_chans ?? 3,
    window: args.window_size ?? Number(window),
    hasPositions: false,
    stages,
    epsilon: 1e-5,
    embeddingDropout: 0,
  };
  refuse([...poolProblems(config, 'avg'), ...stageProblems(args, built)], name);
  return swin(built);
}

/** Returns contradictions between the stages. In timm, an axis that one window covers is not shifted, although the other axis may be. */
function stageProblems(
  args: { readonly embed_dim: number; readonly depths: readonly number[]; readonly num_heads: readonly number[] },
  built: SwinConfig,
) {
  const { depths, num_heads: heads } = args;
  const uneven =
    depths.length === heads.length
      ? []
      : [contradiction('model_args', `model_args has ${depths.length} depths and ${heads.length} num_heads`)];
  const split = heads.flatMap((count, s) => {
    const width = args.embed_dim * 2 ** s;
    return width % count
      ? [contradiction('model_args', `num_heads has ${count}, which does not divide the ${width} features of stage ${s}`)]
      : [];
  });
  const partly = gridsOf(built).some(grid => Math.min(...grid) === built.window && Math.max(...grid) > built.window);
  const oblong = partly ? [notSupported(['model_args', 'img_size'], built.image, 'a square image')] : [];
  return [...uneven, ...split, ...windowProblems(built), ...oblong];
}
