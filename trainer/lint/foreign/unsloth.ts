/** Recipes of Unsloth: the file of `unsloth train --config`. */
import {
  type Convert,
  type Converted,
  type ForeignTool,
  isMap,
  none,
  ofTheTool,
  type Plain,
  recompute,
  set,
  words,
} from './foreign-tool.ts';
import { freezesText, trainsEncoder } from './image-keys.ts';

const SECTIONS = ['data', 'training', 'lora', 'logging'] as const;

const sectionOf = (recipe: Plain, name: (typeof SECTIONS)[number]): Plain => {
  const section = recipe[name];
  return isMap(section) ? section : {};
};

/** Data formats that have a name here; others are recognized by their columns. */
const formats: Readonly<Record<string, string>> = {
  alpaca: 'alpaca',
  chatml: 'messages',
  conversational: 'messages',
  sharegpt: 'sharegpt',
  raw: 'text',
};

/** Converts a limit; 0 means that there is none. */
const unlessZero = (to: string, value: unknown): Converted[] => (value === 0 ? [] : set(to, value));

const data: Convert = value => {
  if (!isMap(value)) return undefined;
  const { dataset, local_dataset: local, format_type: format } = value;
  const files = Array.isArray(local) && local.length === 1 ? local[0] : local;
  return [...set('data.train', files ?? dataset), ...set('data.format', formats[String(format).toLowerCase()])];
};

const isFull = (recipe: Plain): boolean => String(sectionOf(recipe, 'training').training_type).toLowerCase() === 'full';

const training: Convert = (value, recipe) => {
  if (!isMap(value)) return undefined;
  const { gradient_checkpointing: checkpointing, train_on_completions: completions, save_steps: save } = value;
  return [
    ...set('max_length', value.max_seq_length),
    ...set('output_dir', value.output_dir),
    ...set('num_train_epochs', value.num_epochs),
    ...set('learning_rate', value.learning_rate),
    ...set('per_device_train_batch_size', value.batch_size),
    ...set('gradient_accumulation_steps', value.gradient_accumulation_steps),
    ...set('warmup_steps', value.warmup_steps),
    ...unlessZero('max_steps', value.max_steps),
    ...(save === 0 || save === undefined ? [] : [...set('save_strategy', 'steps'), ...set('save_steps', save)]),
    ...set('weight_decay', value.weight_decay),
    ...set('seed', value.random_seed),
    ...set('packing', value.packing),
    ...(typeof completions === 'boolean' ? set('data.completion_only', completions) : []),
    ...(['none', 'false', 'no', 'off', '0'].includes(String(checkpointing))
      ? set('recompute', 'none')
      : (recompute('block', recipe) ?? [])),
  ];
};

const lora: Convert = (value, recipe) => {
  if (!isMap(value)) return undefined;
  if (isFull(recipe)) return none('without adapters, it has no effect');
  const frozen = [
    ...(value.finetune_attention_modules === false ? ['attention'] : []),
    ...(value.finetune_mlp_modules === false ? ['mlp'] : []),
  ];
  return [
    ...set('r', value.lora_r),
    ...set('lora_alpha', value.lora_alpha),
    ...set('lora_dropout', value.lora_dropout),
    ...set('target_modules', value.target_modules === '' ? undefined : words(value.target_modules)),
    ...set('use_rslora', value.use_rslora),
    ...set('freeze', frozen.length > 0 ? frozen : undefined),
    ...(value.finetune_vision_layers === true ? (trainsEncoder(true, recipe) ?? []) : []),
    ...(value.finetune_language_layers === false ? (freezesText(true, recipe) ?? []) : []),
    ...(value.use_loftq === true ? none('use_loftq is not supported') : []),
  ];
};

const logging: Convert = value =>
  isMap(value) && value.enable_tensorboard === true ? set('report_to', 'tensorboard') : none('specific to the other tool');

export const unsloth: ForeignTool = {
  marks: recipe => {
    const own = [
      sectionOf(recipe, 'training').training_type,
      sectionOf(recipe, 'training').max_seq_length,
      sectionOf(recipe, 'lora').lora_r,
    ];
    return 2 * own.filter(value => value !== undefined).length;
  },
  // Defaults of its settings and of its trainer.
  defaults: recipe => {
    const isDora = sectionOf(recipe, 'lora').use_dora === true;
    return [
      ...set('method', isFull(recipe) ? 'full' : isDora ? 'dora' : 'lora'),
      ...(isFull(recipe)
        ? []
        : [...set('r', 64), ...set('lora_alpha', 16), ...set('target_modules', 'all-linear'), ...set('quantize', quantizeOf(recipe))]),
      ...set('max_length', 2048),
      ...set('num_train_epochs', 3),
      ...set('learning_rate', 2e-4),
      ...set('per_device_train_batch_size', 2),
      ...set('gradient_accumulation_steps', 4),
      ...set('warmup_steps', 5),
      ...set('weight_decay', 0.01),
      ...set('optim', 'adamw_8bit'),
      ...set('lr_scheduler_type', 'linear'),
      ...set('seed', 3407),
      ...set('data.completion_only', false, 'there, prompts are trained on too'),
      ...(sectionOf(recipe, 'training').packing === true ? [] : set('group_by_length', false)),
    ];
  },
  keys: { data, training, lora, logging, ...ofTheTool('wandb_project') },
};

/** The quantization: it loads the model in 4 bits by default. */
const quantizeOf = (recipe: Plain): string | undefined => (sectionOf(recipe, 'training').load_in_4bit === false ? undefined : 'nf4');
