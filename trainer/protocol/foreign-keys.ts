/** Names and values of other fine-tuning tools for our settings. */

/** The counterpart of a foreign key: `to` is a dotted path, `note` explains other differences or why there is none. */
export interface ForeignKey {
  readonly to?: string;
  readonly note?: string;
  /** A switch for an option that is off here by default: `false` and no value mean the same as no key. */
  readonly isSwitch?: true;
}

const renamed = (to: string, ...names: string[]): [string, ForeignKey][] => names.map(name => [name, { to }]);
const changed = (to: string, note: string, ...names: string[]): [string, ForeignKey][] => names.map(name => [name, { to, note }]);
const switched = (to: string, note: string, ...names: string[]): [string, ForeignKey][] =>
  names.map(name => [name, { to, note, isSwitch: true }]);
const absent = (note: string, ...names: string[]): [string, ForeignKey][] => names.map(name => [name, { note, isSwitch: true }]);

/** Keys of LLaMA-Factory, Axolotl, torchtune, Unsloth, PEFT and mlx-lm at the top level of a recipe. */
export const foreignKeys: Readonly<Record<string, ForeignKey>> = Object.fromEntries([
  ...renamed('model', 'base_model', 'model_name_or_path', 'model_name', 'pretrained_model_name_or_path', 'model_path'),
  ...renamed('revision', 'model_revision'),
  ...renamed('method', 'finetuning_type', 'adapter', 'fine_tune_type', 'peft_type'),
  ...renamed('r', 'lora_r', 'lora_rank', 'rank'),
  ...renamed('lora_alpha', 'alpha'),
  ...renamed('lora_dropout', 'dropout'),
  ...renamed('use_rslora', 'peft_use_rslora', 'rslora'),
  ...renamed('loraplus_lr_ratio', 'lora_plus_lr_ratio', 'lora_plus_ratio'),
  ...renamed('target_modules', 'lora_target', 'lora_target_modules', 'lora_attn_modules', 'lora_modules'),
  ...renamed('dtype', 'torch_dtype', 'compute_dtype', 'precision'),
  ...switched(
    'dtype',
    'write dtype: bfloat16, or auto; float16 overflows in training and is not available',
    'bf16',
    'fp16',
    'tf32',
    'load_in_half',
  ),
  ...renamed('quantize', 'quantise', 'quantization'),
  ...switched('quantize', 'write quantize: nf4', 'load_in_4bit', 'bnb_4bit_quant_type'),
  ...switched('quantize', 'write quantize: int8', 'load_in_8bit'),
  ...switched('quantize', 'write quantize: int8 or nf4', 'quantization_bit', 'quantization_config'),
  ...renamed(
    'data.train',
    'datasets',
    'dataset',
    'dataset_path',
    'train_file',
    'train_data',
    'data_path',
    'train_dataset',
    'training_data',
  ),
  ...renamed('data.eval', 'test_datasets', 'eval_dataset', 'validation_file', 'eval_data', 'eval_file', 'dataset_valid', 'valid_data'),
  ...renamed('data.format', 'dataset_format', 'data_format', 'dataset_type'),
  ...renamed('data.prompt', 'prompt_template'),
  ...renamed('data.labels', 'label_names', 'class_names'),
  ...renamed('data.max_samples', 'max_train_samples', 'n_train'),
  ...renamed('data.completion_only', 'mask_prompt', 'completion_only_loss', 'assistant_only_loss', 'train_on_responses_only'),
  ...changed('data.completion_only', 'its value is the opposite', 'train_on_inputs', 'train_on_prompt', 'train_on_input'),
  ...renamed('val_size', 'val_set_size', 'validation_split', 'test_size'),
  ...changed(
    'val_size',
    'it is a share or a number of samples here, not a percentage: write 0.05 for 5 percent',
    'validation_split_percentage',
  ),
  ...renamed('max_length', 'sequence_len', 'cutoff_len', 'max_seq_length', 'max_seq_len', 'block_size', 'model_max_length'),
  ...renamed('packing', 'sample_packing', 'packed'),
  ...renamed(
    'per_device_train_batch_size',
    'micro_batch_size',
    'batch_size',
    'train_batch_size',
    'per_gpu_train_batch_size',
    'per_device_batch_size',
  ),
  ...renamed('per_device_eval_batch_size', 'eval_batch_size', 'per_gpu_eval_batch_size'),
  ...renamed('gradient_accumulation_steps', 'grad_accumulation_steps', 'gradient_accumulation', 'grad_accum', 'accumulate_grad_batches'),
  ...renamed('num_train_epochs', 'num_epochs', 'epochs', 'n_epochs', 'max_epochs'),
  ...renamed('max_steps', 'iters', 'num_steps', 'max_train_steps', 'total_steps'),
  ...changed('max_steps', 'it counts the updates of the whole run, not of an epoch', 'max_steps_per_epoch'),
  ...renamed('learning_rate', 'lr'),
  ...renamed('lr_scheduler_type', 'lr_scheduler', 'scheduler', 'lr_schedule', 'schedule'),
  ...renamed('min_learning_rate', 'min_lr', 'cosine_min_lr', 'lr_min'),
  ...changed('min_learning_rate', 'it is a rate here, not a ratio of learning_rate', 'cosine_min_lr_ratio', 'min_lr_ratio'),
  ...renamed('warmup_steps', 'num_warmup_steps', 'warmup', 'warmup_iters'),
  ...renamed('optim', 'optimizer', 'optimizer_type', 'optim_type'),
  ...renamed('optimizer_offload', 'offload_optimizer', 'offload_optimizer_device', 'optimizer_offload_device'),
  ...renamed('weight_decay', 'wd'),
  ...renamed('adam_epsilon', 'adam_eps', 'eps'),
  ...renamed('max_grad_norm', 'clip_grad_norm', 'grad_clip', 'gradient_clipping', 'gradient_clip_val', 'max_norm'),
  ...changed(
    'recompute',
    'true becomes block, false becomes none',
    'gradient_checkpointing',
    'grad_checkpoint',
    'use_gradient_checkpointing',
    'enable_activation_checkpointing',
  ),
  ...renamed('logging_steps', 'log_every_n_steps', 'steps_per_report', 'log_interval'),
  ...renamed('eval_strategy', 'evaluation_strategy'),
  ...renamed('eval_steps', 'steps_per_eval', 'eval_every', 'eval_interval'),
  ...renamed('save_steps', 'save_every', 'save_interval'),
  ...changed('eval_steps', 'it counts updates between evaluations, not evaluations per epoch', 'evals_per_epoch'),
  ...changed('save_steps', 'it counts updates between checkpoints, not checkpoints per epoch', 'saves_per_epoch'),
  ...renamed('output_dir', 'adapter_path', 'output_path', 'save_dir', 'out_dir'),
  ...renamed('overwrite_output_dir', 'overwrite'),
  ...renamed('seed', 'random_seed', 'random_state'),
  ...renamed('label_smoothing_factor', 'label_smoothing'),
  ...renamed('preference.beta', 'beta', 'rl_beta', 'pref_beta', 'dpo_beta', 'orpo_alpha', 'orpo_beta'),
  ...renamed('preference.gamma', 'simpo_gamma', 'cpo_simpo_gamma'),
  ...renamed('preference.loss_type', 'loss_type', 'pref_loss', 'dpo_loss_type'),
  ...renamed('preference.label_smoothing', 'dpo_label_smoothing', 'rl_label_smoothing'),
  ...absent(
    'the log-probabilities of the base model are computed once, before the first update',
    'precompute_ref_log_probs',
    'precompute_ref_batch_size',
    'ref_model',
    'dpo_use_weighting',
  ),
  ...renamed('name', 'run_name', 'project_name', 'wandb_name'),
  ...renamed('importance.measure', 'importance_measure', 'pruning_metric'),
  ...renamed('threads', 'num_threads', 'n_threads'),
  ...absent(
    "for 'sequential' write data.shuffle: false, for 'random' group_by_length: false, and for 'group_by_length' group_by_length: true",
    'train_sampling_strategy',
  ),
  ...absent("Rowtune always uses the model's chat template", 'template', 'chat_template'),
  ...absent(
    'metrics are written to the run folder, and for TensorBoard with report_to: tensorboard; other trackers are not supported',
    'wandb_project',
    'use_wandb',
    'metric_logger',
  ),
  ...absent('set HF_TOKEN in the environment', 'hf_token', 'token', 'use_auth_token', 'hf_hub_token'),
  ...absent('attention is compiled into the step', 'flash_attention', 'flash_attn', 'attn_implementation', 'xformers_attention'),
  ...absent('a run uses one device', 'deepspeed', 'fsdp', 'fsdp_config', 'ddp', 'local_rank'),
  ...absent('use target_modules to choose layers', 'num_layers', 'layers_to_transform', 'lora_layers'),
  ...absent('write r, lora_alpha and lora_dropout at the top level', 'lora_parameters', 'lora_config', 'peft_config'),
]);

/** Values of other tools for one setting, by the setting's path: our value, or why there is none. */
export const foreignValues: Readonly<Record<string, Readonly<Record<string, ForeignKey>>>> = {
  method: Object.fromEntries([
    ...renamed('full', 'fft', 'full_finetune', 'dense', 'none'),
    ...renamed('spsft', 'sparse', 'rows', 'pruning'),
    ...absent('write method: lora and quantize: nf4', 'qlora'),
    ...renamed('head', 'linear_probe', 'linear_probing', 'classifier'),
    ...renamed('bitfit', 'bias', 'biases'),
    ...renamed('spsft+lora', 'lora+spsft'),
  ]),
  dtype: Object.fromEntries([
    ...renamed('float32', 'fp32', 'f32', 'float', 'torch.float32'),
    ...renamed('bfloat16', 'bf16', 'torch.bfloat16'),
    ...absent('float16 overflows in training and is not available', 'float16', 'fp16', 'half'),
  ]),
  quantize: Object.fromEntries([
    ...renamed('nf4', '4', '4bit', 'fp4', 'int4', 'q4'),
    ...renamed('int8', '8', '8bit', 'q8'),
    ...renamed('none', 'false', 'no'),
  ]),
  task: Object.fromEntries([
    ...renamed('causal_lm', 'sft', 'pt', 'lm', 'text-generation'),
    ...renamed('sequence_classification', 'seq_cls', 'text-classification'),
    ...renamed('multi_label_classification', 'multi-label-classification', 'multilabel'),
    ...renamed('token_classification', 'token_cls', 'token-classification', 'ner'),
    ...renamed('image_classification', 'image-classification'),
  ]),
  optim: Object.fromEntries([
    ...renamed('adamw', 'adamw_torch', 'adamw_torch_fused', 'adamw_hf', 'paged_adamw', 'paged_adamw_32bit'),
    ...renamed('adamw_8bit', 'adamw8bit', 'paged_adamw_8bit', 'adamw_bnb_8bit', 'adamw_torch_8bit'),
    ...renamed('adam_8bit', 'adam8bit', 'paged_adam_8bit'),
  ]),
  optimizer_offload: Object.fromEntries([
    ...renamed('host', 'cpu', 'ram', 'true', 'paged'),
    ...renamed('disk', 'nvme', 'ssd'),
    ...renamed('none', 'false', 'no'),
  ]),
  lr_scheduler_type: Object.fromEntries([
    ...renamed('cosine', 'cosine_with_min_lr', 'cosine_decay'),
    ...renamed('cosine_with_restarts', 'cosine_with_hard_restarts'),
    ...renamed('polynomial', 'polynomial_decay'),
    ...renamed('warmup_stable_decay', 'wsd'),
    ...renamed('constant', 'none'),
    ...absent(
      'schedules that follow the loss or start the warm-up above 0 are not supported; use cosine or linear',
      'reduce_lr_on_plateau',
      'greedy',
      'cosine_warmup_with_min_lr',
    ),
    ...renamed('linear', 'linear_schedule', 'linear_decay'),
  ]),
  eval_strategy: Object.fromEntries([
    ...renamed('epoch', 'epochs'),
    ...renamed('steps', 'step'),
    ...renamed('no', 'false', 'none', 'never'),
  ]),
  save_strategy: Object.fromEntries([
    ...renamed('epoch', 'epochs'),
    ...renamed('steps', 'step'),
    ...renamed('no', 'false', 'none', 'never'),
  ]),
  metric_for_best_model: Object.fromEntries([
    ...renamed('loss', 'eval_loss'),
    ...renamed('accuracy', 'eval_accuracy', 'acc', 'rewards/accuracies', 'eval_rewards/accuracies'),
    ...renamed('margin', 'eval_margin', 'rewards/margins', 'eval_rewards/margins'),
    ...renamed('f1', 'eval_f1', 'f1_macro', 'overall_f1', 'eval_overall_f1'),
    ...renamed('precision', 'eval_precision', 'overall_precision', 'eval_overall_precision'),
    ...renamed('recall', 'eval_recall', 'overall_recall', 'eval_overall_recall'),
    ...renamed('matthews', 'eval_matthews', 'matthews_correlation', 'eval_matthews_correlation', 'mcc'),
    ...renamed('pearson', 'eval_pearson', 'pearsonr'),
  ]),
  engine: Object.fromEntries([...renamed('tensorflow', 'tf', 'cuda', 'gpu'), ...renamed('portable', 'webgpu', 'wasm', 'tfjs', 'cpu')]),
  recompute: Object.fromEntries([...renamed('block', 'true', 'full'), ...renamed('none', 'false', 'no')]),
  'data.format': Object.fromEntries([
    ...renamed('messages', 'chat', 'openai', 'chatml', 'chat_template'),
    ...renamed('sharegpt', 'conversations'),
    ...renamed('text', 'completion', 'pretrain', 'plain'),
    ...renamed('prompt_completion', 'completions', 'prompt-completion'),
  ]),
  'importance.measure': Object.fromEntries([
    ...renamed('magnitude', 'l2', 'norm', 'weight'),
    ...renamed('qm_taylor', 'qmtaylor', 'quantiles_mean', 'classwise'),
    ...renamed('fisher', 'fisher_information'),
  ]),
};
