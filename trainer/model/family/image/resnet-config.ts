/** Reads the config.json of a ResNet, as Transformers writes it. */

import { z } from 'zod';
import { lastOf } from '../../../narrow.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, readConfig, refuse, withoutEffect } from '../../config-keys.ts';
import { activation, backboneKeys, classifierKeys, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { ResNetConfig } from './resnet.ts';
import { transformersNames } from './resnet-names.ts';

/** The keys of ResNet. */
export const resnetKeys = {
  ...classifierKeys,
  num_channels: computed(size(64).default(3)),
  embedding_size: computed(size(8192).default(64)),
  hidden_sizes: computed(z.array(size(65536)).min(1).max(64).default([256, 512, 1024, 2048])),
  depths: computed(z.array(size(512)).min(1).max(64).default([3, 4, 6, 3])),
  layer_type: computed(z.enum(['basic', 'bottleneck']).default('bottleneck')),
  hidden_act: activation('relu'),
  downsample_in_first_stage: computed(z.boolean().default(false)),
  downsample_in_bottleneck: computed(z.boolean().default(false)),
  ...backboneKeys,
  ...withoutEffect("is for new layers, which start with PyTorch's own spread here", 'initializer_range', 'initializer_factor', 'init_std'),
  ...withoutEffect('is of no token of this model', 'pad_token_id'),
} as const;

/** The image size that convolutional networks were trained on, unless specified otherwise. */
export const IMAGENET_SIZE = [224, 224] as const;

/** The deviation of new linear layers, PyTorch's default for them, which Transformers' ResNet keeps. */
export const headDeviation = (features: number): number => 1 / Math.sqrt(3 * features);

/** Transformers' bottlenecks are four times narrower inside. */
const REDUCTION = 4;

export interface ResNetForm {
  readonly prefix: string;
  readonly hasHead: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function resnetConfig(architecture: string, { prefix, hasHead }: ResNetForm, json: ConfigJson, options: ModelOptions): ResNetConfig {
  const { values: c, problems } = readConfig(resnetKeys, architecture, json);
  const isBottleneck = c.layer_type === 'bottleneck';
  const wrong = [...problems];
  if (c.depths.length !== c.hidden_sizes.length)
    wrong.push(contradiction('depths', `depths has ${c.depths.length} entries, hidden_sizes has ${c.hidden_sizes.length}`));
  const odd = isBottleneck ? c.hidden_sizes.find(channels => channels % REDUCTION) : undefined;
  if (odd !== undefined)
    wrong.push(contradiction('hidden_sizes', `hidden_sizes has ${odd}, which is not a multiple of ${REDUCTION}, as bottlenecks need`));
  refuse(wrong, architecture);
  return {
    family: 'resnet',
    ...readLabels({ architecture, json, options, hasHead, std: headDeviation(lastOf(c.hidden_sizes)) }),
    names: transformersNames(prefix),
    image: options.imageSize ?? IMAGENET_SIZE,
    channels: c.num_channels,
    stemSize: c.embedding_size,
    activation: c.hidden_act,
    stages: c.hidden_sizes.map((out, i) => ({
      depth: c.depths[i] as number,
      out,
      bottleneck: isBottleneck ? { width: out / REDUCTION, groups: 1, stridesFirst: c.downsample_in_bottleneck } : undefined,
      stride: i > 0 || c.downsample_in_first_stage ? 2 : 1,
    })),
  };
}
