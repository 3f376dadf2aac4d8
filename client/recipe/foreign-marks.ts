/** Files that may be recipes of other tools, told by a look at their keys before anything is parsed. Pure. */

/** A recipe is a page; what is longer is something else. */
export const MAX_FOREIGN_LENGTH = 200_000;

/** Keys that other tools have in their recipes, without plain words. */
const OWN_KEYS = [
  ...['base_model', 'micro_batch_size', 'sequence_len', 'sample_packing', 'val_set_size', 'dataset_prepared_path', 'num_epochs'],
  ...['model_name_or_path', 'finetuning_type', 'cutoff_len', 'lora_rank', 'lora_target', 'dataset_dir', 'plot_loss'],
  ...['dataset_name', 'dataset_train_split', 'use_peft', 'assistant_only_loss'],
  '_component_',
  ...['fine_tune_type', 'iters', 'lora_parameters', 'adapter_path', 'grad_checkpoint', 'steps_per_report', 'val_batches'],
  ...['training_type', 'max_seq_length', 'lora_r'],
];
const MARKS = new RegExp(`(?<![\\w.-])(?:${OWN_KEYS.join('|')})"?\\s*:`);

/** Whether it is worth a look by the converter. */
export const mayBeForeign = (text: string): boolean => text.length <= MAX_FOREIGN_LENGTH && MARKS.test(text);
