/** The parts of config.json that timm's architectures share: labels, model arguments and pooling. */
import { z } from 'zod';
import type { ModelOptions } from '../../config-json.ts';
import {
  type ConfigValues,
  computed,
  type KeyTable,
  notSupported,
  readConfig,
  refuse,
  refusedUnless,
  unknownKeys,
  withoutEffect,
} from '../../config-keys.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { commonKeys, size } from '../common-keys.ts';
import { readLabels } from '../labels.ts';

/** The keys of timm's own files, and of files of Transformers' wrapper. */
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

export interface TimmParams {
  readonly name: string;
  /** Prefix of timm's names in files of Transformers' wrapper. */
  readonly prefix: string;
  readonly config: TimmConfig;
  readonly options: ModelOptions;
}

export const labelsOf = ({ name, config, options }: TimmParams, std: number) =>
  readLabels({
    architecture: name,
    json: config.label_names ? { id2label: { ...config.label_names } } : { num_labels: config.num_classes || 2 },
    options,
    hasHead: config.num_classes > 0,
    std,
  });

/** Reads the arguments that timm builds a model with. Every argument has an effect, so one that is not listed is refused. */
export function readArgs<Table extends KeyTable>(table: Table, { name, config }: TimmParams): ConfigValues<Table> {
  const { model_args: args } = config;
  const others = unknownKeys(table, args ?? {}).map(key => notSupported(['model_args', key], args?.[key], Object.keys(table).join(', ')));
  refuse(others, name);
  return readConfig(table, `${name} of timm (model_args)`, args ?? {}).values;
}

export const commonArgs = {
  in_chans: computed(size(64).optional()),
  num_classes: computed(z.number().optional()),
  global_pool: computed(z.string().optional()),
} as const;

export const imageArg = computed(z.union([size(8192), z.tuple([size(8192), size(8192)])]).optional());

/** Returns a problem if the config uses a pooling other than the supported one. */
export function poolProblems({ global_pool, model_args: args }: TimmConfig, supported: string): ConfigProblem[] {
  const own = args?.global_pool;
  const pool = own ?? global_pool ?? supported;
  const path = own === undefined || own === null ? ['global_pool'] : ['model_args', 'global_pool'];
  return pool === supported ? [] : [notSupported(path, pool, [supported])];
}
