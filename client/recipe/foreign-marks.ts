/** Detects files that may be recipes of other tools by their keys, without parsing them. Pure. */

/** Maximum length of a recipe, in characters; longer files are something else. */
export const MAX_FOREIGN_LENGTH = 200_000;

/** Keys in recipes of other tools; common words are omitted. */
const OWN_KEYS = [
  ...['base_model', 'micro_batch_size', 'sequence_len', 'sample_packing', 'val_set_size', 'dataset_prepared_path', 'num_epochs'],
  ...['model_name_or_path', 'finetuning_type', 'cutoff_len', 'lora_rank', 'lora_target', 'dataset_dir', 'plot_loss'],
  ...['dataset_name', 'dataset_train_split', 'use_peft', 'assistant_only_loss'],
  '_component_',
  ...['fine_tune_type', 'iters', 'lora_parameters', 'adapter_path', 'grad_checkpoint', 'steps_per_report', 'val_batches'],
  ...['training_type', 'max_seq_length', 'lora_r'],
];
const MARKS = new RegExp(`(?<![\\w.-])(?:${OWN_KEYS.join('|')})"?\\s*:`);

/** True if the converter should look at the text. */
export const mayBeForeign = (text: string): boolean => text.length <= MAX_FOREIGN_LENGTH && MARKS.test(text);
