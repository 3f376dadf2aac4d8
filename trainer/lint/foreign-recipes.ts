/** Recipes of other tools: how each is recognised, and what its nested or differently counted settings become here. Pure. */

type Plain = Readonly<Record<string, unknown>>;

/** A setting of ours by its dotted path, or with `note` why there is none. */
export type Converted = { readonly to: string; readonly value: unknown; readonly note?: string } | { readonly note: string };

/** What one key becomes; undefined leaves it to the table of renamed keys. `recipe` is the whole foreign recipe. */
type Convert = (value: unknown, recipe: Plain) => readonly Converted[] | undefined;

export interface ForeignTool {
  readonly name: string;
  /** How surely a recipe is of this tool: the number of its own keys in it. */
  readonly marks: (recipe: Plain) => number;
  readonly keys: Readonly<Record<string, Convert>>;
}

const isMap = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value);
const count = (recipe: Plain, keys: readonly string[]): number => keys.filter(key => Object.hasOwn(recipe, key)).length;
const set = (to: string, value: unknown, note?: string): Converted[] =>
  value === undefined || value === null ? [] : [{ to, value, note }];
const none = (note: string): Converted[] => [{ note }];
const words = (value: unknown): unknown =>
  typeof value === 'string' && value.includes(',') ? value.split(',').map(word => word.trim()) : value;

/** Written for the trainer itself, not for the model. */
const ofTheTool: Convert = () => none('of the other tool alone');

const recompute: Convert = value => set('recompute', value === true || value === 'true' || typeof value === 'string' ? 'block' : 'none');
const opposite: Convert = value => (typeof value === 'boolean' ? set('data.completion_only', !value) : undefined);
/** Half precision of any kind is bfloat16 here; `auto` leaves it to the device. */
const floatType: Convert = value =>
  value === true || value === 'bf16' || value === 'fp16'
    ? set('dtype', 'bfloat16')
    : value === 'auto'
      ? set('dtype', 'auto')
      : none('float32 is the default');
const singleType: Convert = () => none('computing in float32 is the default');
const quantisedAs =
  (form: 'int8' | 'nf4'): Convert =>
  value =>
    value === true ? set('quantise', form) : none('off');
const quantisedBits: Convert = value =>
  value === 4 ? set('quantise', 'nf4') : value === 8 ? set('quantise', 'int8') : none('4 and 8 bits are available');
const ratioOfRate: Convert = (value, recipe) => {
  const rate = Number(recipe.learning_rate ?? recipe.lr);
  return typeof value === 'number' && Number.isFinite(rate) ? set('min_learning_rate', value * rate) : undefined;
};
const loraOf: Convert = value => (value === 'qlora' ? [...set('method', 'lora'), ...set('quantise', 'nf4')] : undefined);
const targets: Convert = value => set('target_modules', value === 'all' ? 'all-linear' : words(value));

const shared: Readonly<Record<string, Convert>> = {
  gradient_checkpointing: recompute,
  bf16: floatType,
  fp16: floatType,
  tf32: singleType,
  pure_bf16: floatType,
  load_in_4bit: quantisedAs('nf4'),
  load_in_8bit: quantisedAs('int8'),
  quantization_bit: quantisedBits,
  train_on_inputs: opposite,
  train_on_prompt: opposite,
  cosine_min_lr_ratio: ratioOfRate,
  finetuning_type: loraOf,
  adapter: loraOf,
  lora_target: targets,
  lora_target_modules: targets,
  gradient_accumulation_steps: value => (typeof value === 'number' ? undefined : none('a number is needed')),
};

/** Axolotl's names of prompt styles. */
const axolotlFormats: Readonly<Record<string, string>> = {
  alpaca: 'alpaca',
  sharegpt: 'sharegpt',
  chat_template: 'messages',
  completion: 'text',
};

function axolotlData(part: 'data.train' | 'data.eval'): Convert {
  return value => {
    const sets = (Array.isArray(value) ? value : [value]).filter(isMap);
    if (sets.length === 0) return undefined;
    const paths = sets.flatMap(({ data_files, path }) => (Array.isArray(data_files) ? data_files : [data_files ?? path]));
    const types = [...new Set(sets.map(({ type }) => (typeof type === 'string' ? type.split('.')[0] : undefined)))];
    const [type] = types;
    const format = types.length === 1 && type !== undefined ? axolotlFormats[type] : undefined;
    return [...set(part, paths.length === 1 ? paths[0] : paths), ...(part === 'data.train' ? set('data.format', format) : [])];
  };
}

/** Names of LLaMA-Factory's dataset_info.json are files in its data folder, by its own convention. */
function factoryData(part: 'data.train' | 'data.eval'): Convert {
  return (value, { dataset_dir: folder }) => {
    const names = (Array.isArray(value) ? value : String(value).split(',')).map(name => String(name).trim());
    const files = names.map(name => (/\.\w+$|\//.test(name) ? name : `${typeof folder === 'string' ? folder : 'data'}/${name}.json`));
    return set(part, files.length === 1 ? files[0] : files);
  };
}

const mlxLora: Convert = value => {
  if (!isMap(value)) return undefined;
  const { rank, scale, alpha, dropout, keys } = value;
  const product = typeof scale === 'number' && typeof rank === 'number' ? scale * rank : alpha;
  return [...set('r', rank), ...set('lora_alpha', product), ...set('lora_dropout', dropout), ...set('target_modules', keys)];
};

const mlxSchedule: Convert = value => {
  if (!isMap(value)) return undefined;
  const name = typeof value.name === 'string' ? value.name.replace(/_(?:decay|schedule)$/, '') : undefined;
  return [...set('lr_scheduler_type', name === 'cosine' || name === 'linear' ? name : 'constant'), ...set('warmup_steps', value.warmup)];
};

const component = (value: unknown): string => (isMap(value) && typeof value._component_ === 'string' ? value._component_ : '');
/** torchtune's names of projections. */
const tuneModules: Readonly<Record<string, string>> = { output_proj: 'o_proj', w1: 'gate_proj', w2: 'down_proj', w3: 'up_proj' };

const tuneModel: Convert = value => {
  if (!isMap(value)) return undefined;
  const isLora = /lora/.test(component(value));
  const { lora_attn_modules: attention, apply_lora_to_mlp: mlp, lora_rank, lora_alpha, lora_dropout } = value;
  const modules = [
    ...(Array.isArray(attention) ? attention.map(String) : []),
    ...(mlp === true ? ['gate_proj', 'up_proj', 'down_proj'] : []),
  ];
  const method = [...set('method', isLora ? 'lora' : 'full'), ...(/qlora/.test(component(value)) ? set('quantise', 'nf4') : [])];
  if (!isLora) return method;
  return [
    ...method,
    ...set('r', lora_rank),
    ...set('lora_alpha', lora_alpha),
    ...set('lora_dropout', lora_dropout),
    ...set('target_modules', modules.length === 0 ? undefined : modules.map(name => tuneModules[name] ?? name)),
  ];
};

const tuneData: Convert = value => {
  if (!isMap(value)) return undefined;
  const { source, data_files, packed, train_on_input } = value;
  const format = /alpaca/.test(component(value))
    ? 'alpaca'
    : /chat/.test(component(value))
      ? 'messages'
      : /text_completion/.test(component(value))
        ? 'text'
        : undefined;
  const file = source === 'json' || source === 'csv' || source === 'text' || source === undefined ? data_files : (data_files ?? source);
  return [
    ...set('data.train', file),
    ...set('data.format', format),
    ...set('packing', packed),
    ...set('data.completion_only', typeof train_on_input === 'boolean' ? !train_on_input : undefined),
  ];
};

const tuneOptimizer: Convert = value => {
  if (!isMap(value)) return undefined;
  const name = component(value)
    .split('.')
    .at(-1)
    ?.toLowerCase()
    .replace(/^paged/, '')
    .replace(/8bit$/, '_8bit');
  return [
    ...set('optim', name && ['sgd', 'adam', 'adam_8bit', 'adamw_8bit'].includes(name) ? name : 'adamw'),
    ...set('learning_rate', value.lr),
    ...set('weight_decay', value.weight_decay),
  ];
};

const tuneSchedule: Convert = value =>
  isMap(value)
    ? [
        ...set('lr_scheduler_type', /cosine/.test(component(value)) ? 'cosine' : /linear/.test(component(value)) ? 'linear' : 'constant'),
        ...set('warmup_steps', value.num_warmup_steps),
      ]
    : undefined;

/** The best match first; tried in this order where two match alike. */
export const foreignTools: readonly ForeignTool[] = [
  {
    name: 'torchtune',
    marks: recipe => 2 * Object.values(recipe).filter(value => component(value) !== '').length,
    keys: {
      model: tuneModel,
      checkpointer: value => (isMap(value) ? set('model', value.checkpoint_dir) : undefined),
      tokenizer: value => (isMap(value) ? set('max_length', value.max_seq_len) : undefined),
      dataset: tuneData,
      optimizer: tuneOptimizer,
      lr_scheduler: tuneSchedule,
      enable_activation_checkpointing: recompute,
      max_steps_per_epoch: value => (value === null ? [] : none('steps are counted over the whole run: max_steps')),
      dtype: floatType,
      ...Object.fromEntries(
        [
          'loss',
          'compile',
          'device',
          'profiler',
          'metric_logger',
          'resume_from_checkpoint',
          'save_adapter_weights_only',
          'log_peak_memory_stats',
          'log_level',
          'enable_activation_offloading',
          'optimizer_in_bwd',
          'dataset_val',
          'run_val_every_n_steps',
          'batch_size_val',
          'shuffle',
        ].map(key => [key, ofTheTool]),
      ),
    },
  },
  {
    name: 'Axolotl',
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
      ]),
    keys: {
      ...shared,
      datasets: axolotlData('data.train'),
      test_datasets: axolotlData('data.eval'),
      lora_target_linear: value => (value === true ? set('target_modules', 'all-linear') : none('off')),
      evals_per_epoch: value =>
        value === 0 ? set('eval_strategy', 'no') : set('eval_strategy', 'epoch', `it was ${value} times an epoch`),
      saves_per_epoch: value => set('save_strategy', 'epoch', value === 1 ? undefined : `it was ${value} times an epoch`),
      ...Object.fromEntries(
        [
          'dataset_prepared_path',
          'strict',
          'group_by_length',
          'pad_to_sequence_len',
          'eval_sample_packing',
          'model_type',
          'tokenizer_type',
          'special_tokens',
          'tokens',
          'early_stopping_patience',
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
        ].map(key => [key, ofTheTool]),
      ),
    },
  },
  {
    name: 'LLaMA-Factory',
    marks: recipe =>
      count(recipe, [
        'model_name_or_path',
        'finetuning_type',
        'stage',
        'cutoff_len',
        'lora_rank',
        'lora_target',
        'dataset_dir',
        'do_train',
        'template',
        'preprocessing_num_workers',
        'plot_loss',
      ]),
    keys: {
      ...shared,
      dataset: factoryData('data.train'),
      eval_dataset: factoryData('data.eval'),
      ...Object.fromEntries(
        [
          'stage',
          'do_train',
          'do_eval',
          'do_predict',
          'dataset_dir',
          'overwrite_cache',
          'preprocessing_num_workers',
          'dataloader_num_workers',
          'plot_loss',
          'ddp_timeout',
          'trust_remote_code',
          'save_only_model',
          'resume_from_checkpoint',
          'include_num_input_tokens_seen',
          'use_fast_tokenizer',
        ].map(key => [key, ofTheTool]),
      ),
    },
  },
  {
    name: 'mlx-lm',
    marks: recipe =>
      count(recipe, [
        'fine_tune_type',
        'iters',
        'lora_parameters',
        'adapter_path',
        'grad_checkpoint',
        'steps_per_report',
        'steps_per_eval',
        'save_every',
        'val_batches',
        'train',
      ]),
    keys: {
      data: value =>
        typeof value === 'string'
          ? [
              ...set('data.train', `${value.replace(/\/$/, '')}/train.jsonl`),
              ...set('data.eval', `${value.replace(/\/$/, '')}/valid.jsonl`),
            ]
          : undefined,
      lora_parameters: mlxLora,
      lr_schedule: mlxSchedule,
      grad_checkpoint: recompute,
      fine_tune_type: loraOf,
      steps_per_eval: value => [...set('eval_strategy', 'steps'), ...set('eval_steps', value)],
      ...Object.fromEntries(
        ['train', 'test', 'val_batches', 'test_batches', 'resume_adapter_file', 'optimizer_config', 'mask_prompt_only', 'hf_dataset'].map(
          key => [key, ofTheTool],
        ),
      ),
    },
  },
];
