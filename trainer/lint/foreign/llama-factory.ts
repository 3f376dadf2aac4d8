/** Recipes of LLaMA-Factory. */
import { type Convert, count, type ForeignTool, none, ofTheTool, set } from './foreign-tool.ts';
import { llamaFactoryImages } from './image-keys.ts';
import { sharedKeys } from './shared-keys.ts';

const dataSets = (value: unknown): string[] => (Array.isArray(value) ? value : String(value).split(',')).map(name => String(name).trim());

/** Converts max_samples, which counts per data set there and over all data sets here. */
const maxSamples: Convert = (value, { dataset }) => {
  const sets = dataSets(dataset).length;
  return typeof value === 'number'
    ? set('data.max_samples', value * sets, sets === 1 ? undefined : `it was ${value} per data set`)
    : undefined;
};

/** Converts data set names, which dataset_info.json maps to files: by convention, those of the same names next to it. */
function factoryData(part: 'data.train' | 'data.eval'): Convert {
  return (value, { dataset_dir }) => {
    const folder = typeof dataset_dir === 'string' ? dataset_dir : 'data';
    const names = dataSets(value);
    const isFile = (name: string): boolean => /\.\w+$|\//.test(name);
    const files = names.map(name => (isFile(name) ? name : `${folder}/${name}.json`));
    const note = names.every(isFile) ? undefined : `guessed from the name; ${folder}/dataset_info.json says which file it is`;
    return set(part, files.length === 1 ? files[0] : files, note);
  };
}

/** Losses for pairs that are tasks here. */
const lossTasks: Readonly<Record<string, string>> = { orpo: 'orpo', simpo: 'simpo' };

/** Training stages that are tasks here. */
const stageTasks: Readonly<Record<string, string>> = { kto: 'kto', rm: 'reward' };

/** Converts a training stage; stages for preferences become tasks. */
const stage: Convert = (value, { pref_loss: loss }) => {
  if (value === 'dpo') return set('task', lossTasks[String(loss)] ?? 'dpo');
  const task = stageTasks[String(value)];
  if (task !== undefined) return set('task', task);
  return value === 'ppo' ? none(`the stage '${value}' is not supported`) : none('specific to the other tool');
};

const prefLoss: Convert = (value, { stage }) => {
  if (stage !== undefined && stage !== 'dpo') return none(`it is for the stage 'dpo'`);
  if (lossTasks[String(value)] !== undefined) return none('it is the task');
  return value === 'kto_pair' ? none("'kto_pair' is not supported; the loss is sigmoid") : set('preference.loss_type', value);
};

const DEFAULT_RANK = 8;

export const llamaFactory: ForeignTool = {
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
  // Defaults of its arguments (0.9.5) and of the underlying Trainer.
  defaults: ({ finetuning_type: type, lora_rank: rank, stage, pref_loss: loss, packing = stage === 'pt' }) => [
    ...(type === undefined || type === 'lora' || type === 'qlora'
      ? [...set('method', 'lora'), ...set('r', DEFAULT_RANK), ...set('lora_alpha', 2 * (typeof rank === 'number' ? rank : DEFAULT_RANK))]
      : []),
    ...set('learning_rate', 5e-5),
    ...set('per_device_train_batch_size', 8),
    ...set('max_length', 2048),
    ...(stage === 'pt' ? set('packing', true, 'there, pretraining packs by default') : []),
    ...(packing === true ? [] : set('group_by_length', false)),
    ...(stage === 'dpo' && loss === 'simpo' ? [...set('preference.beta', 0.1), ...set('preference.gamma', 0.5)] : []),
  ],
  keys: {
    ...sharedKeys,
    ...llamaFactoryImages,
    dataset: factoryData('data.train'),
    eval_dataset: factoryData('data.eval'),
    max_samples: maxSamples,
    stage,
    pref_loss: prefLoss,
    mask_history: value => (value === true ? set('data.trained_turns', 'last') : none('off')),
    pissa_init: value => (value === true ? set('init_lora_weights', 'pissa') : none('off')),
    disable_shuffling: value => set('data.shuffle', value !== true),
    ...ofTheTool(
      'pissa_iter',
      'pissa_convert',
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
    ),
  },
};
