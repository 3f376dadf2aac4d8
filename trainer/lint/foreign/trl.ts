/** Recipes of TRL: the file of `trl sft --config`, `trl dpo --config`, `trl kto --config` or `trl reward --config`. */
import { type Convert, type Converted, count, type ForeignTool, isMap, none, ofTheTool, type Plain, set } from './foreign-tool.ts';
import { shardingKeys } from './sharding.ts';
import { sharedKeys } from './shared-keys.ts';

type Script = 'sft' | 'dpo' | 'kto' | 'reward';

/** The command of the file, which does not name it; some keys exist in only one command. */
function scriptOf(recipe: Plain): Script {
  if (count(recipe, ['desirable_weight', 'undesirable_weight']) > 0) return 'kto';
  if (count(recipe, ['center_rewards_coefficient']) > 0) return 'reward';
  const ofPairs = ['beta', 'precompute_ref_log_probs', 'ref_model', 'ld_alpha', 'f_divergence_type', 'sync_ref_model', 'max_prompt_length'];
  return count(recipe, ofPairs) > 0 ? 'dpo' : 'sft';
}

/** The task and the default learning rate of each command (1.16). */
const scripts: Readonly<Record<Script, { readonly task: string; readonly rate: number }>> = {
  sft: { task: 'causal_lm', rate: 2e-5 },
  dpo: { task: 'dpo', rate: 1e-6 },
  kto: { task: 'kto', rate: 1e-6 },
  reward: { task: 'reward', rate: 1e-4 },
};

const evaluates = ({ eval_strategy: when, evaluation_strategy: whenOnce = when }: Plain): boolean =>
  typeof whenOnce === 'string' && whenOnce !== 'no';

/** Converts the data set. TRL evaluates on a split of the same data set, if it evaluates at all. */
const dataSet: Convert = (value, recipe) => [
  ...set('data.train', value),
  ...(evaluates(recipe) ? [...set('data.eval', value), ...set('data.eval_split', recipe.dataset_test_split ?? 'test')] : []),
];

/** Converts a mixture of data sets: maps with a path, or names. */
const mixture: Convert = value => {
  if (!Array.isArray(value)) return undefined;
  const parts = value.map((part): Plain => (isMap(part) ? part : { path: part }));
  const others = [...new Set(parts.flatMap(part => Object.keys(part)))].filter(key => key !== 'path');
  return [
    ...set(
      'data.train',
      parts.map(({ data_files: files, path }) => files ?? path),
    ),
    ...(others.length === 0 ? [] : none(`${others.join(', ')}: all data sets of a recipe are read alike`)),
  ];
};

/** Converts assistant_only_loss; without it, whole chats are trained, which the defaults contain. */
const answersAlone: Convert = value => (value === true ? set('data.completion_only', true) : []);

const method = ({ use_peft: usesPeft, use_dora: usesDora }: Plain): Converted[] => {
  if (usesPeft !== true) return set('method', 'full', 'without use_peft, it trains every weight');
  return [
    ...set('method', usesDora === true ? 'dora' : 'lora'),
    ...set('r', 16),
    ...set('lora_alpha', 32),
    ...set('lora_dropout', 0.05),
    ...set('target_modules', ['q_proj', 'v_proj'], "PEFT's choice for most decoders"),
  ];
};

const OF_ADAPTERS = ['lora_r', 'lora_alpha', 'lora_dropout', 'lora_target_modules', 'lora_modules_to_save', 'use_rslora'] as const;

/** Converts a key of adapters, which has no effect without `use_peft`. */
const withAdapter =
  (convert: Convert): Convert =>
  (value, recipe) =>
    recipe.use_peft === true ? convert(value, recipe) : none('without use_peft, it has no effect');

/** Adds the method in the terms by which configs of DeepSpeed and FSDP are converted. */
const withMethod = (recipe: Plain): Plain => ({ ...recipe, finetuning_type: recipe.use_peft === true ? 'lora' : 'full' });
const sharding = Object.fromEntries(
  Object.entries(shardingKeys).map(([key, convert]): [string, Convert] => [key, (value, recipe) => convert(value, withMethod(recipe))]),
);

export const trl: ForeignTool = {
  marks: recipe =>
    count(recipe, [
      'model_name_or_path',
      'dataset_name',
      'dataset_config',
      'dataset_train_split',
      'dataset_test_split',
      'dataset_text_field',
      'use_peft',
      'assistant_only_loss',
      'lora_modules_to_save',
      'dataset_num_proc',
    ]),
  // Defaults of its configurations (1.16) and of the underlying Trainer.
  defaults: recipe => {
    const script = scriptOf(recipe);
    return [
      ...set('task', scripts[script].task, script === 'sft' ? 'for a file of trl dpo, kto or reward, write that task' : undefined),
      ...method(recipe),
      ...set('learning_rate', scripts[script].rate),
      ...set('per_device_train_batch_size', 8),
      ...set('num_train_epochs', 3),
      ...set('lr_scheduler_type', 'linear'),
      ...set('max_length', 1024),
      ...set('recompute', 'block'),
      ...(recipe.packing === true ? [] : set('group_by_length', false)),
      ...(script === 'sft' && recipe.assistant_only_loss !== true
        ? set('data.completion_only', false, 'it trains on whole chats; for prompts with completions, write true')
        : []),
      ...(script === 'sft' && Object.hasOwn(recipe, 'dataset_text_field') ? set('data.format', 'text') : []),
    ];
  },
  keys: {
    ...sharedKeys,
    ...sharding,
    dataset_name: dataSet,
    datasets: mixture,
    dataset_config: value => set('data.config', value),
    dataset_train_split: value => set('data.split', value),
    // Converted together with the data set.
    dataset_test_split: (_, recipe) => (evaluates(recipe) ? [] : none('without eval_strategy, it has no effect')),
    dataset_text_field: value => (value === 'text' ? [] : isMap(value) ? undefined : set('data.columns', { text: value })),
    assistant_only_loss: answersAlone,
    completion_only_loss: value => (typeof value === 'boolean' ? set('data.completion_only', value) : []),
    use_peft: () => [],
    use_dora: () => [],
    ...Object.fromEntries(OF_ADAPTERS.map(key => [key, withAdapter((value, recipe) => sharedKeys[key]?.(value, recipe))])),
    lora_modules_to_save: withAdapter(value => set('modules_to_save', value)),
    loss_type: (value, recipe) => (scriptOf(recipe) === 'dpo' ? undefined : none(`the loss '${String(value)}' is not chosen here`)),
    bnb_4bit_quant_type: value => none(value === 'nf4' ? 'four bits are always nf4' : 'only nf4 is supported'),
    report_to: value => (value === 'wandb' || value === 'all' ? none('report_to takes tensorboard, mlflow or trackio') : undefined),
    ...ofTheTool(
      'trust_remote_code',
      'dataset_num_proc',
      'dataset_streaming',
      'eos_token',
      'pad_token',
      'lora_task_type',
      'use_bnb_nested_quant',
      'use_liger_kernel',
      'packing_strategy',
      'remove_unused_columns',
      'dataset_kwargs',
      'eval_packing',
      'padding_free',
      'pad_to_multiple_of',
      'activation_offloading',
      'gradient_checkpointing_kwargs',
      'push_to_hub',
      'hub_model_id',
      'do_train',
      'do_eval',
      'dataloader_num_workers',
      'ddp_timeout',
      'resume_from_checkpoint',
    ),
  },
};
