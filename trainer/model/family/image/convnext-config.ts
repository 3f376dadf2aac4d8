/** Reads the config.json of ConvNeXt and ConvNeXt V2, as Transformers writes it. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import { computed, contradiction, type KeyTable, readConfig, refuse, withoutEffect } from '../../config-keys.ts';
import { activation, backboneKeys, classifierKeys, epsilon, imageKeys, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import type { ConvNextConfig } from './convnext.ts';
import { transformersNames } from './convnext-names.ts';
import { patchProblems } from './vit-config.ts';

export const convNextV2Keys = {
  ...classifierKeys,
  ...backboneKeys,
  ...imageKeys(4),
  ...withoutEffect('is for attention, and there is none', 'is_causal'),
  num_stages: computed(size(64).default(4)),
  hidden_sizes: computed(z.array(size(65536)).min(1).max(64).default([96, 192, 384, 768])),
  depths: computed(z.array(size(512)).min(1).max(64).default([3, 3, 9, 3])),
  hidden_act: activation('gelu'),
  layer_norm_eps: epsilon(1e-12),
  drop_path_rate: computed(rate.default(0)),
  initializer_range: computed(z.number().min(0).max(10).default(0.02)),
} as const satisfies KeyTable;

/** The scale exists if its initial value is not 0. */
export const convNextKeys = { ...convNextV2Keys, layer_scale_init_value: computed(z.number().min(0).default(1e-6)) } as const;

/** The contents of an architecture's file. */
export interface ConvNextForm {
  readonly family: ConvNextConfig['family'];
  /** Prefix of the encoder's tensor names; empty for the bare encoder. */
  readonly prefix: string;
  readonly hasHead: boolean;
}

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function convNextConfig(
  architecture: string,
  { family, prefix, hasHead }: ConvNextForm,
  json: ConfigJson,
  options: ModelOptions,
): ConvNextConfig {
  const { values: c, problems } = readConfig(family === 'convnext' ? convNextKeys : convNextV2Keys, architecture, json);
  const image = options.imageSize ?? c.image_size;
  const uneven = (key: 'hidden_sizes' | 'depths') =>
    c[key].length === c.num_stages ? [] : [contradiction(key, `${key} has ${c[key].length} entries, num_stages says ${c.num_stages}`)];
  // Each stage except the first halves the image.
  const halvings = 2 ** (c.num_stages - 1);
  const smallest: [number, number] = [c.patch_size[0] * halvings, c.patch_size[1] * halvings];
  refuse([...problems, ...uneven('hidden_sizes'), ...uneven('depths'), ...patchProblems(image, smallest)], architecture);
  const scaled = 'layer_scale_init_value' in c && Number(c.layer_scale_init_value) > 0 ? 'scale' : 'none';
  return {
    family,
    ...readLabels({ architecture, json, options, hasHead, std: c.initializer_range }),
    names: transformersNames(prefix),
    image,
    channels: c.num_channels,
    patch: c.patch_size,
    stages: c.hidden_sizes.map((width, i) => ({ depth: c.depths[i] as number, width })),
    activation: c.hidden_act,
    hasConvMlp: false,
    restraint: family === 'convnextv2' ? 'response' : scaled,
    epsilon: c.layer_norm_eps,
    pathDropout: c.drop_path_rate,
  };
}
