/** Recipes of torchtune. */
import { type Convert, type ForeignTool, floatType, isMap, none, ofTheTool, recompute, set } from './foreign-tool.ts';
import { shardingKeys } from './sharding.ts';

const component = (value: unknown): string => (isMap(value) && typeof value._component_ === 'string' ? value._component_ : '');
/** torchtune's names for projections. */
const tuneModules: Readonly<Record<string, string>> = { output_proj: 'o_proj', w1: 'gate_proj', w2: 'down_proj', w3: 'up_proj' };

const tuneModel: Convert = value => {
  if (!isMap(value)) return undefined;
  const isLora = /lora/.test(component(value));
  const { lora_attn_modules: attention, apply_lora_to_mlp: mlp, lora_rank, lora_alpha, lora_dropout } = value;
  const modules = [
    ...(Array.isArray(attention) ? attention.map(String) : []),
    ...(mlp === true ? ['gate_proj', 'up_proj', 'down_proj'] : []),
  ];
  const method = [...set('method', isLora ? 'lora' : 'full'), ...(/qlora/.test(component(value)) ? set('quantize', 'nf4') : [])];
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
  const own = component(value).split('.').at(-1)?.toLowerCase() ?? '';
  const name = own.replace(/^paged/, '').replace(/8bit$/, '_8bit');
  return [
    ...(/^paged|^cpuoffload/.test(own) ? set('optimizer_offload', 'host') : []),
    ...set('optim', ['sgd', 'adam', 'adam_8bit', 'adamw_8bit'].includes(name) ? name : 'adamw'),
    ...set('learning_rate', value.lr),
    ...set('weight_decay', value.weight_decay),
  ];
};

const scheduleOf = (name: string, warmup: unknown): string =>
  /cosine/.test(name) ? 'cosine' : /linear/.test(name) ? 'linear' : warmup ? 'constant_with_warmup' : 'constant';

const tuneSchedule: Convert = value =>
  isMap(value)
    ? [...set('lr_scheduler_type', scheduleOf(component(value), value.num_warmup_steps)), ...set('warmup_steps', value.num_warmup_steps)]
    : undefined;

export const torchtune: ForeignTool = {
  marks: recipe => 2 * Object.values(recipe).filter(value => component(value) !== '').length,
  // Defaults of its recipes and of torch.optim (0.6.1): no clipping, a constant rate, and weight decay for norms and biases, too.
  defaults: ({ dataset, model, optimizer }) => {
    const decay = isMap(optimizer) ? (optimizer.weight_decay ?? (/adamw/i.test(component(optimizer)) ? 0.01 : 0)) : 0;
    return [
      ...set('max_grad_norm', 0),
      ...set('lr_scheduler_type', 'constant'),
      ...set('weight_decay', decay),
      ...(decay === 0 || /lora/.test(component(model)) ? [] : set('decay_norms_and_biases', true)),
      ...(/alpaca/.test(component(dataset)) ? set('data.completion_only', false, 'alpaca_dataset trains on prompts too') : []),
      ...(isMap(dataset) && dataset.packed === true ? [] : set('group_by_length', false)),
    ];
  },
  keys: {
    ...shardingKeys,
    model: tuneModel,
    checkpointer: value => (isMap(value) ? set('model', value.checkpoint_dir) : undefined),
    tokenizer: value => (isMap(value) ? set('max_length', value.max_seq_len) : undefined),
    dataset: tuneData,
    optimizer: tuneOptimizer,
    lr_scheduler: tuneSchedule,
    enable_activation_checkpointing: recompute,
    max_steps_per_epoch: value => (value === null ? [] : none('max_steps counts the steps of the whole run')),
    dtype: floatType,
    shuffle: value => (typeof value === 'boolean' ? set('data.shuffle', value) : none('it must be true or false')),
    ...ofTheTool(
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
    ),
  },
};
