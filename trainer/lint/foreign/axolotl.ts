/** Recipes of Axolotl. */
import { isDeepStrictEqual } from 'node:util';
import { namesOf } from '../../catalog/entries.ts';
import { roleNamed } from '../../data/read/read-conversation.ts';
import { type Convert, type Converted, count, type ForeignTool, isMap, none, ofTheTool, type Plain, set } from './foreign-tool.ts';
import { imageSize } from './image-keys.ts';
import { sharedKeys } from './shared-keys.ts';

/** Axolotl's names of prompt styles. */
const axolotlFormats: Readonly<Record<string, string>> = {
  alpaca: 'alpaca',
  sharegpt: 'sharegpt',
  chat_template: 'messages',
  completion: 'text',
};

/** The trained roles of a data set. With an empty list, single turns decide. */
function rolesOf(given: unknown): Converted[] {
  if (given === undefined || given === null) return [];
  const names = (Array.isArray(given) ? given : [given]).map(String);
  const unknown = names.filter(name => roleNamed(name) === undefined);
  const roles = [...new Set(names.flatMap(name => roleNamed(name) ?? []))];
  return [
    ...(unknown.length > 0 ? none(`roles_to_train: ${unknown.join(', ')}: there are no such roles here`) : []),
    ...(roles.length === 1 && roles[0] === 'assistant' ? [] : set('data.trained_roles', roles)),
  ];
}

/** The tokens of a data set that are trained. */
function trainedOf({ roles_to_train: roles, train_on_eos: ends, message_field_training_detail: detail }: Plain): Converted[] {
  return [
    ...rolesOf(roles),
    ...(ends === 'none' ? set('data.train_end_of_turn', false) : []),
    ...(ends === 'all' || ends === 'last' ? none(`train_on_eos: ${ends}: the ends of trained answers are trained`) : []),
    ...(detail === undefined ? [] : none('message_field_training_detail: parts of a turn cannot be weighed')),
  ];
}

/** Axolotl's names of fields, and the columns that they are here. */
const FIELDS = {
  field_instruction: 'instruction',
  field_input: 'input',
  field_output: 'output',
  field_system: 'system',
  field: 'text',
} as const;

/** True if a data set names the fields of turns as ShareGPT does. */
const isShareGpt = ({ message_property_mappings: turns }: Plain): boolean =>
  isMap(turns) && turns.role === 'from' && turns.content === 'value';

/** The columns of a data set, without those that have their name here. Custom prompts name theirs under `type`. */
function columnsOf(dataset: Plain): Plain {
  const { type, field_messages: turns } = dataset;
  const places = isMap(type) ? [type, dataset] : [dataset];
  const named = namesOf(FIELDS).map(key => [FIELDS[key], places.map(place => place[key]).find(name => typeof name === 'string')]);
  const all = [...named, [isShareGpt(dataset) ? 'conversations' : 'messages', turns]];
  return Object.fromEntries(all.filter(([ours, theirs]) => typeof theirs === 'string' && theirs !== '' && theirs !== ours));
}

/** The format of a data set by its prompt style. */
function formatOf(dataset: Plain): string | undefined {
  const { type } = dataset;
  if (isMap(type)) return 'alpaca';
  const format = typeof type === 'string' ? axolotlFormats[type.split('.')[0] ?? ''] : undefined;
  return format === 'messages' && isShareGpt(dataset) ? 'sharegpt' : format;
}

/** The columns of all data sets, which must agree here. */
function sharedColumns(sets: readonly Plain[]): Converted[] {
  const [columns = {}, ...others] = sets.map(columnsOf);
  if (others.some(other => !isDeepStrictEqual(other, columns)))
    return none('the data sets name different columns: rename them in the data');
  return Object.keys(columns).length === 0 ? [] : set('data.columns', columns);
}

function axolotlData(part: 'data.train' | 'data.eval'): Convert {
  return (value, { rl }) => {
    const sets = (Array.isArray(value) ? value : [value]).filter(isMap);
    if (sets.length === 0) return undefined;
    const paths = sets.flatMap(({ data_files, path }) => (Array.isArray(data_files) ? data_files : [data_files ?? path]));
    const [ofTexts, ...otherFormats] = new Set(sets.map(formatOf));
    // Prompt styles of pairs describe where the prompt is; here the keys show it.
    const format = typeof rl === 'string' || otherFormats.length > 0 ? undefined : ofTexts;
    const of = part === 'data.train' ? [...set('data.format', format), ...sharedColumns(sets), ...sets.flatMap(trainedOf)] : [];
    return [...set(part, paths.length === 1 ? paths[0] : paths), ...of];
  };
}

/** Kinds of reinforcement learning. Those that compare or judge answers are tasks here; ipo is a loss. */
const rlTask: Convert = value => {
  if (value === 'ipo') return [...set('task', 'dpo'), ...set('preference.loss_type', 'ipo')];
  return typeof value === 'string' && ['dpo', 'orpo', 'simpo', 'kto'].includes(value)
    ? set('task', value)
    : none(`'${String(value)}' is not supported`);
};

/** How often something happens per epoch, as a share of all updates: 1 / (times · epochs), as Axolotl computes it. */
function timesPerEpoch(what: 'eval' | 'save', times: unknown, { num_epochs: epochs = 1 }: Plain): Converted[] {
  if (typeof times !== 'number' || typeof epochs !== 'number') return [];
  if (times === 1 || !(times * epochs > 1)) return set(`${what}_strategy`, 'epoch');
  const share = Number((1 / (times * epochs)).toPrecision(4));
  return [...set(`${what}_strategy`, 'steps'), ...set(`${what}_steps`, share, `${times} times per epoch`)];
}

export const axolotl: ForeignTool = {
  marks: recipe =>
    count(recipe, [
      'base_model',
      'micro_batch_size',
      'sequence_len',
      'sample_packing',
      'adapter',
      'datasets',
      'val_set_size',
      'dataset_prepared_path',
      'lora_target_linear',
      'num_epochs',
      'rl',
    ]),
  // Defaults of its schemas (0.19) and of the underlying Trainer.
  defaults: ({ adapter, warmup_steps, warmup_ratio, batch_size, rl, sample_packing: packing }) => [
    ...(adapter ? [] : set('method', 'full', 'without an adapter, it trains every weight')),
    ...(batch_size === undefined || batch_size === null ? set('per_device_train_batch_size', 1) : []),
    ...set('num_train_epochs', 1),
    ...set('lr_scheduler_type', 'cosine'),
    ...(warmup_steps === undefined && warmup_ratio === undefined ? set('warmup_ratio', 0.03, 'there it is at most 100 updates') : []),
    ...(packing === true ? [] : set('group_by_length', false)),
    ...(rl === 'simpo' ? [...set('preference.beta', 0.1), ...set('preference.gamma', 0.5)] : []),
  ],
  keys: {
    ...sharedKeys,
    // If micro_batch_size is set too, batch_size is the number of samples per update.
    batch_size: (value, { micro_batch_size: micro, gradient_accumulation_steps: steps }) => {
      if (typeof value !== 'number' || typeof micro !== 'number') return undefined;
      return steps === undefined || steps === null ? set('gradient_accumulation_steps', Math.max(1, Math.floor(value / micro))) : [];
    },
    rl: rlTask,
    image_size: imageSize,
    image_resize_algorithm: () => none('the processor of the model decides how images are resized'),
    reward_model: value => (value === true ? set('task', 'reward') : none('off')),
    datasets: axolotlData('data.train'),
    test_datasets: axolotlData('data.eval'),
    lora_target_linear: value => (value === true ? set('target_modules', 'all-linear') : none('off')),
    evals_per_epoch: (value, recipe) => (value === 0 ? set('eval_strategy', 'no') : timesPerEpoch('eval', value, recipe)),
    saves_per_epoch: (value, recipe) => timesPerEpoch('save', value, recipe),
    ...ofTheTool(
      'dataset_prepared_path',
      'strict',
      'pad_to_sequence_len',
      'eval_sample_packing',
      'model_type',
      'tokenizer_type',
      'processor_type',
      'skip_prepare_dataset',
      'remove_unused_columns',
      'special_tokens',
      'tokens',
      'resume_from_checkpoint',
      'wandb_entity',
      'wandb_watch',
      'wandb_log_model',
      'loss_watchdog_threshold',
      'loss_watchdog_patience',
      'is_llama_derived_model',
      'hub_model_id',
      'debug',
      'plugins',
    ),
  },
};
