/** Reads the config.json of SigLIP: only the image tower, with the head of Transformers' classifier. */

import { z } from 'zod';
import { isRecord } from '../../../narrow.ts';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  readConfig,
  refuse,
  refusedUnless,
  unknownKeys,
  withoutEffect,
} from '../../config-keys.ts';
import { activation, classifierKeys, commonKeys, encoderProblems, epsilon, imageKeys, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import { gridOf, type VitConfig } from './vit.ts';
import { patchProblems, vitSizes } from './vit-config.ts';
import { siglipNames } from './vit-names.ts';

export const siglipKeys = {
  ...classifierKeys,
  vision_config: computed(z.record(z.string(), z.unknown()).nullish()),
  ...withoutEffect('is of the tower for texts', 'text_config'),
  initializer_factor: computed(z.number().positive().default(1)),
  ...withoutEffect('is for new layers, whose spread follows from their width', 'initializer_range', 'init_std'),
  ...withoutEffect('is of no token of this model', 'pad_token_id'),
  ...refusedUnless([false], 'is_causal'),
} as const satisfies KeyTable;

/** The keys of `vision_config`. */
const towerKeys = {
  ...commonKeys,
  ...withoutEffect('is of the pooling that the classifier does without: it reads the mean of all patches', 'vision_use_head'),
  ...withoutEffect('is of the space that both towers share', 'projection_size', 'projection_dim'),
  ...imageKeys(16),
  hidden_size: computed(size(16384).default(768)),
  intermediate_size: computed(size(65536).default(3072)),
  num_hidden_layers: computed(size(256).default(12)),
  num_attention_heads: computed(size(256).default(12)),
  hidden_act: activation('gelu_pytorch_tanh'),
  layer_norm_eps: epsilon(1e-6),
  attention_dropout: computed(rate.default(0)),
} as const satisfies KeyTable;

/** Returns the unknown keys of `vision_config`. */
export const unknownTowerKeys = ({ vision_config: tower }: ConfigJson): string[][] =>
  isRecord(tower) ? unknownKeys(towerKeys, tower).map(key => ['vision_config', key]) : [];

type Tower = ConfigValues<typeof towerKeys>;

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function siglipConfig(architecture: string, json: ConfigJson, options: ModelOptions): VitConfig {
  const { values, problems } = readConfig(siglipKeys, architecture, json);
  const tower = readConfig(towerKeys, `${architecture} (vision_config)`, values.vision_config ?? {});
  const c: Tower = tower.values;
  const patches = gridOf(c.image_size, c.patch_size);
  const oblong = c.image_size[0] === c.image_size[1] ? [] : [contradiction('vision_config', `image_size [${c.image_size}] is not square`)];
  refuse([...problems, ...tower.problems, ...encoderProblems(c), ...oblong, ...patchProblems(c.image_size, c.patch_size)], architecture);
  return {
    family: 'siglip',
    ...readLabels({ architecture, json, options, hasHead: true, std: values.initializer_factor * c.hidden_size ** -0.5 }),
    names: siglipNames,
    tokens: [],
    pooling: 'mean',
    positions: { kind: 'table', grid: patches, firsts: 0, shape: [patches[0] * patches[1], c.hidden_size], antialias: false },
    image: c.image_size,
    ...vitSizes(c),
    isResizable: false,
    intermediateSize: c.intermediate_size,
    biased: { q: true, k: true, v: true, o: true, mlp: true },
    isScaled: false,
    activation: c.hidden_act,
    dropout: 0,
    embeddingDropout: 0,
    attentionDropout: c.attention_dropout,
    pathDropout: { attention: 0, mlp: 0 },
  };
}
