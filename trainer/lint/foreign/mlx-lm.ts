/** Recipes of mlx-lm. */
import { isHubName } from '../../protocol/hub-name.ts';
import { type Convert, count, type ForeignTool, isMap, ofTheTool, recompute, set } from './foreign-tool.ts';
import { loraOf } from './shared-keys.ts';

const mlxLora: Convert = value => {
  if (!isMap(value)) return undefined;
  const { rank, scale, alpha, dropout, keys } = value;
  const product = typeof scale === 'number' && typeof rank === 'number' ? scale * rank : alpha;
  return [...set('r', rank), ...set('lora_alpha', product), ...set('lora_dropout', dropout), ...set('target_modules', keys)];
};

const mlxSchedule: Convert = value => {
  if (!isMap(value)) return undefined;
  const name = typeof value.name === 'string' ? value.name.replace(/_(?:decay|schedule)$/, '') : undefined;
  // Arguments of cosine_decay: the initial rate, the number of steps, the final rate.
  const floor = name === 'cosine' && Array.isArray(value.arguments) ? value.arguments[2] : undefined;
  return [
    ...set('lr_scheduler_type', name === 'cosine' || name === 'linear' ? name : value.warmup ? 'constant_with_warmup' : 'constant'),
    ...set('warmup_steps', value.warmup),
    ...set('min_learning_rate', floor),
    ...set('learning_rate', firstRate(value)),
  ];
};

/** The initial rate of a schedule, which overrides a learning rate next to it. */
const firstRate = (schedule: unknown): unknown =>
  isMap(schedule) && Array.isArray(schedule.arguments) && typeof schedule.arguments[0] === 'number' ? schedule.arguments[0] : undefined;

export const mlxLm: ForeignTool = {
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
  // CONFIG_DEFAULTS of its lora.py (0.32). Its optimizers do not clip gradients, and those with weight decay apply 0.01 to every weight.
  defaults: ({ optimizer, fine_tune_type: type }) => [
    ...set('method', 'lora'),
    ...(type === undefined || type === 'lora' || type === 'dora' ? [...set('r', 8), ...set('lora_alpha', 160)] : []),
    ...set('data.completion_only', false, 'without mask_prompt it trains on prompts too'),
    ...set('learning_rate', 1e-5),
    ...set('lr_scheduler_type', 'constant'),
    ...set('max_steps', 1000),
    ...set('max_length', 2048),
    ...set('optim', 'adam'),
    ...(optimizer === 'adamw' ? [...set('weight_decay', 0.01), ...set('decay_norms_and_biases', true)] : []),
    ...set('max_grad_norm', 0),
    ...set('seed', 0),
  ],
  keys: {
    data: value => {
      if (typeof value !== 'string') return undefined;
      const folder = value.replace(/\/$/, '');
      const note = isHubName(value) && value.includes('/') ? `for a data set of the hub, write ${value}` : undefined;
      return [...set('data.train', `${folder}/train.jsonl`, note), ...set('data.eval', `${folder}/valid.jsonl`)];
    },
    lora_parameters: mlxLora,
    lr_schedule: mlxSchedule,
    learning_rate: (_, { lr_schedule: schedule }) => (firstRate(schedule) === undefined ? undefined : []),
    grad_checkpoint: recompute,
    fine_tune_type: loraOf,
    steps_per_eval: value => [...set('eval_strategy', 'steps'), ...set('eval_steps', value)],
    ...ofTheTool(
      'train',
      'test',
      'val_batches',
      'test_batches',
      'resume_adapter_file',
      'optimizer_config',
      'mask_prompt_only',
      'hf_dataset',
    ),
  },
};
