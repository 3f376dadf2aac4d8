/** Reads the config.json of SigLIP: only the image tower, with the head of Transformers' classifier. */

import { z } from 'zod';
import type { ConfigJson, ModelOptions } from '../../config-json.ts';
import {
  type ConfigValues,
  computed,
  contradiction,
  type KeyTable,
  readConfig,
  readRecord,
  refuse,
  refusedUnless,
  unknownInside,
  withoutEffect,
} from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { TOWER } from '../../vision/read-tower.ts';
import { activation, classifierKeys, commonKeys, encoderProblems, epsilon, imageKeys, rate, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';
import { gridOf, type TowerConfig } from './tower.ts';
import type { VitConfig } from './vit.ts';
import { patchProblems, vitSizes } from './vit-config.ts';
import { siglipNames, type TowerNames } from './vit-names.ts';

export const siglipKeys = {
  ...classifierKeys,
  vision_config: computed(z.record(z.string(), z.unknown()).nullish()),
  ...withoutEffect('is of the tower for texts', 'text_config'),
  initializer_factor: computed(z.number().positive().default(1)),
  ...withoutEffect('is for new layers, whose spread follows from their width', 'initializer_range', 'init_std'),
  ...withoutEffect('is of no token of this model', 'pad_token_id'),
  ...refusedUnless([false], 'is_causal'),
} as const satisfies KeyTable;

/** Defaults of a class. */
interface Usual {
  readonly patch: number;
  readonly hidden: number;
  readonly heads: number;
}

/** Keys of towers. */
const towerKeys = (usual: Usual) =>
  ({
    ...commonKeys,
    ...imageKeys(usual.patch),
    hidden_size: computed(size(16384).default(usual.hidden)),
    intermediate_size: computed(size(65536).default(3072)),
    num_hidden_layers: computed(size(256).default(12)),
    num_attention_heads: computed(size(256).default(usual.heads)),
    hidden_act: activation('gelu_pytorch_tanh'),
    layer_norm_eps: epsilon(1e-6),
    attention_dropout: computed(rate.default(0)),
  }) as const satisfies KeyTable;

/** The keys of `vision_config`. */
export const siglipTowerKeys = {
  ...towerKeys({ patch: 16, hidden: 768, heads: 12 }),
  ...withoutEffect('is of the pooling that the classifier does without: it reads the mean of all patches', 'vision_use_head'),
  ...withoutEffect('is of the space that both towers share', 'projection_size', 'projection_dim'),
} as const satisfies KeyTable;

/** The keys of towers of language models, which read colors. */
export const eyeKeys = (usual: Usual) =>
  ({
    ...towerKeys(usual),
    num_channels: computed(size(3).default(3), [3]),
    ...withoutEffect('is for new layers', 'initializer_range'),
  }) as const satisfies KeyTable;

/** The keys of `vision_config` in Gemma 3. */
export const gemma3TowerKeys = {
  ...eyeKeys({ patch: 16, hidden: 768, heads: 12 }),
  ...withoutEffect('is of a pooling that the language model does without', 'vision_use_head'),
  ...withoutEffect('is of the space that both towers of SigLIP share', 'projection_size', 'projection_dim'),
} as const satisfies KeyTable;

/** The keys of `vision_config` in SmolVLM and Idefics3. */
export const smolvlmTowerKeys = {
  ...eyeKeys({ patch: 32, hidden: 1152, heads: 16 }),
  ...withoutEffect('belongs to preprocessor_config.json', 'size', 'max_image_size'),
  ...withoutEffect('is not read by Transformers', 'use_base_siglip', 'tie_word_embeddings'),
} as const satisfies KeyTable;

/** Returns the unknown keys of `vision_config`. */
export const unknownTowerKeys = (config: ConfigJson): string[][] => unknownInside(TOWER, siglipTowerKeys, config);

type TowerValues = ConfigValues<ReturnType<typeof towerKeys>>;

/** Problems of a tower's sizes. */
export const squareProblems = (c: Omit<TowerValues, 'attention_dropout'>): ConfigProblem[] => [
  ...encoderProblems(c),
  ...[c.image_size, c.patch_size].flatMap((sides, i) =>
    sides[0] === sides[1] ? [] : [contradiction('vision_config', `${i === 0 ? 'image_size' : 'patch_size'} [${sides}] is not square`)],
  ),
  ...patchProblems(c.image_size, c.patch_size),
];

/** The tower of these sizes, with a position for each patch. */
export function siglipTower(c: TowerValues, names: TowerNames): TowerConfig {
  const grid = gridOf(c.image_size, c.patch_size);
  return {
    names,
    tokens: [],
    positions: { kind: 'table', grid, firsts: 0, shape: [grid[0] * grid[1], c.hidden_size], antialias: false },
    image: c.image_size,
    ...vitSizes(c),
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

/** @throws ModelConfigError with every key that is missing, out of bounds or unsupported */
export function siglipConfig(architecture: string, json: ConfigJson, options: ModelOptions): VitConfig {
  const { values, problems } = readConfig(siglipKeys, architecture, json);
  const { values: tower, problems: ofTower } = readRecord(TOWER, siglipTowerKeys, architecture, values.vision_config ?? {});
  refuse([...problems, ...ofTower, ...squareProblems(tower)], architecture);
  return {
    family: 'siglip',
    ...readLabels({ architecture, json, options, hasHead: true, std: values.initializer_factor * tower.hidden_size ** -0.5 }),
    ...siglipTower(tower, siglipNames),
    names: siglipNames,
    isResizable: false,
    pooling: 'mean',
  };
}
