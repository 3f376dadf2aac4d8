/** Codes about settings that contradict each other. */
import { type EngineName, engineCatalog, hostingEngines } from '../../catalog/engines.ts';
import { andList, namesWhere, orList } from '../../catalog/entries.ts';
import type { Diagnostic } from './diagnostic.ts';

const replicating = namesWhere(engineCatalog, ({ replicates }) => replicates === true);
const labelsOf = (names: readonly EngineName[]): string => andList(names.map(name => engineCatalog[name].label));

export const settingDiagnostics: Readonly<Record<string, Diagnostic>> = {
  'warmup-twice': { about: '`warmup_steps` and `warmup_ratio` set the same thing.', fix: 'Keep one.' },
  'budget-twice': { about: '`r` (rows per layer) and `ratio` (a share of them) are two budgets for `spsft`.', fix: 'Keep one.' },
  'no-evaluation-data': {
    about: '`eval_strategy` asks for evaluations, but there is no held-out data.',
    fix: 'Set `data.eval` or `val_size`, or write `eval_strategy: no`.',
  },
  'metric-of-other-task': {
    about:
      '`metric_for_best_model` is not measured for this `task`. Numbers have `pearson` and `loss`; labels have `accuracy`, `f1`, `matthews` and `loss`; language models have `accuracy` and `loss`.',
  },
  'evaluation-data-twice': { about: '`data.eval` is set, so nothing is held out of the training data and `val_size` has no effect.' },
  'val-size-no-count': { about: '`val_size` is a share below 1 (`0.1`) or a whole number of samples (`200`).' },
  'best-model-without-evaluation': { about: '`load_best_model_at_end` needs evaluations to find the best checkpoint.' },
  'early-stopping-without-evaluation': {
    about: '`early_stopping_patience` counts evaluations, and this run has none.',
    fix: 'Set `eval_strategy` and held-out data.',
  },
  'best-model-cadence': {
    about:
      'To end with the best model, `save_strategy` and `eval_strategy` must be the same: a checkpoint that was never evaluated cannot be the best.',
  },
  'best-model-steps': { about: 'To end with the best model, `save_steps` must be a multiple of `eval_steps`.' },
  'large-evaluation-batch': {
    about:
      'An evaluation batch larger than the training batch may run out of memory at the first evaluation, hours into the run. The logits of an evaluation are larger than anything in training.',
  },
  'length-twice': { about: '`max_steps` ends the run, so `num_train_epochs` has no effect.' },
  'no-steps': { about: '`max_steps: 0` makes no update.', fix: 'Use -1 to let `num_train_epochs` set the length.' },
  'warmup-covers-run': { about: 'The warm-up is as long as the run, so the learning rate is never reached.' },
  'floor-above-rate': { about: '`min_learning_rate`, the end of a cosine schedule, is above `learning_rate`.' },
  'schedule-arguments': {
    about:
      '`lr_scheduler_kwargs` has an argument that this schedule does not take, or lacks one that it needs. `warmup_stable_decay` needs `num_decay_steps`, and the `lr_end` of `polynomial` must be below `learning_rate`.',
  },
  'high-learning-rate': {
    about: 'Adam diverges above 0.01 in nearly all fine-tuning. Usual rates are from 1.0e-5 to 1.0e-3.',
  },
  'no-training-data': { about: 'Without `data.train` a recipe can be estimated but not trained.' },
  'second-choice': {
    about:
      '`importance.choose_again_after` moves single rows with their moments: `trains: rows` without `dependencies`, a method without a product, moments in 32 bits, one process.',
    fix: 'Deletes `importance.choose_again_after`.',
  },
  'measure-without-data': {
    about: 'Every measure but `magnitude` and `random` needs data.',
    fix: 'Set `data.train` or `importance.scores`, or use `magnitude`.',
  },
  'measure-without-labels': {
    about: '`qm_taylor`, `class_max_taylor` and `class_mean_taylor` score rows for each class, so every sample needs a label.',
    fix: 'Use data in the format `text_label`, images in one folder per class, or the measure `taylor_row`.',
  },
  'packing-with-labels': {
    about: 'Packing joins samples into rows without padding, which is for language modeling. A sample with a label stays alone.',
  },
  'packing-with-measure': {
    about: '`fisher` and the class-wise measures look at one sample at a time, and packed samples share a row.',
    fix: 'Writes `packing: false`. Another measure works too.',
  },
  'packing-with-pairs': { about: 'Answers that are compared or judged stand in rows of their own, so they cannot be packed.' },
  'untrained-part-of-compared-answer': {
    about: 'Answers that are compared or judged count as a whole: their probability is that of the reasoning, the answer and its end.',
    fix: 'Writes `true`.',
  },
  'roles-of-turns': {
    about:
      '`data.trained_roles` chooses among the turns of chats. Samples of the format named in `data.format` have no turns. The run reports data of another format with file and line.',
    fix: 'Write the data as lists of messages, or remove `data.trained_roles`. `data.completion_only: false` trains prompts too.',
  },
  'loss-for-task': {
    about: '`preference.loss_type` is a loss of pairs of answers, and the task reads judged answers, or the other way round.',
    fix: 'Writes the usual loss of the task.',
  },
  'live-reference': {
    about:
      '`preference.reference: live` reads the base model between two updates, from the weights that the run holds and a copy of the trained numbers as they were. A method that trains every weight would copy the whole model.',
    fix: 'Writes `cached`. A method that trains few parameters works too.',
  },
  'repeated-reference': {
    about:
      'A live reference computes the base model again each time that a batch is trained on. In several epochs that is more work than one pass before training. `max_steps` shorter than an epoch, or a single epoch, costs no more than the cache.',
    fix: 'Writes `cached`.',
  },
  'small-reference-batch': {
    about:
      'The loss `kto` compares rewards with a reference point, the mean log-ratio of mismatched answers of the batch. One answer gives a poor estimate. `gradient_accumulation_steps` does not help: each of its batches has a reference point of its own.',
    fix: 'Raise `per_device_train_batch_size`, or set `preference.loss_type: apo_zero_unpaired`.',
  },
  'no-teacher': {
    about: '`task: distillation` learns from the predictions of another model, and the recipe names none.',
    fix: 'Set `distillation.teacher` to a model with the same vocabulary, or `distillation.logits` to a file of its predictions.',
  },
  'teacher-and-file': {
    about: "`distillation.teacher` computes the teacher's predictions, and `distillation.logits` reads them from a file.",
    fix: 'Removes the file.',
  },
  'teacher-is-model': {
    about: '`distillation.teacher` is the model that is trained. Its predictions are those that the model already makes.',
    fix: 'Name a larger model, or one that was tuned.',
  },
  'nothing-from-teacher': {
    about:
      'With `distillation.alpha: 0` the teacher has no share of the loss. With `distillation.rest: renormalize` and `top_k: 1`, the one token that is compared has the probability 1 in both models.',
    fix: 'Raise `alpha`, or writes `rest: bucket`.',
  },
  'held-out-without-teacher': {
    about:
      '`metric_for_best_model: teacher_divergence` compares held-out samples with the teacher, whose predictions for them are in no file.',
    fix: 'Set `distillation.eval_logits`, or writes `loss`.',
  },
  'no-pattern': {
    about: '`eval_generation.checks` has `pattern`, and there is no regular expression to check answers with.',
    fix: 'Set `eval_generation.pattern`.',
  },
  'no-held-out-prompts': {
    about: 'Answers are written to the prompts of held-out samples, and the recipe holds none out.',
    fix: 'Set `data.eval` to a file, or `val_size` to a share of the training data.',
  },
  'prompts-with-reasoning': {
    about:
      'Answers are written to held-out prompts, which end where training begins. With `data.train_reasoning: false` that is behind the reasoning of the sample, which would give the answer away.',
    fix: 'Train the reasoning, or evaluate the saved adapter with another recipe.',
  },
  'prompts-without-answers': {
    about:
      'Answers are written to held-out prompts, each of which ends where a trained answer of the assistant begins. `data.trained_roles` trains other roles alone, so there is no such prompt.',
    fix: 'Add `assistant` to `data.trained_roles`, or remove `eval_generation`.',
  },
  'metric-not-checked': {
    about: '`metric_for_best_model` is a metric of written answers, and `eval_generation.checks` does not compute it.',
    fix: 'Add it to `eval_generation.checks`, or writes `loss`.',
  },
  'metric-not-scored': {
    about: '`metric_for_best_model: reward` is the mean reward of written answers, and no reward model scores them.',
    fix: 'Set `eval_generation.reward_model`, or writes `loss`.',
  },
  'long-evaluation': {
    about:
      'Answers are written one after the other, token by token. Above 20,000 tokens, an evaluation can take longer than the training between two of them.',
    fix: 'Lower `eval_generation.max_samples` or `max_new_tokens`, or evaluate more rarely.',
  },
  'batch-without-negatives': {
    about:
      'The wrong answers of an anchor are the other samples of its batch. A batch of one sample without hard negatives has none, so its loss is 0.',
    fix: 'Raise the batch size, or give hard negatives (`embedding.negatives`).',
  },
  'negatives-of-accumulation': {
    about:
      'Wrong answers come from one batch. `gradient_accumulation_steps` adds up the gradients of several batches, which does not give an anchor more of them.',
    fix: 'Raise `per_device_train_batch_size`; `embedding.mini_batch_size` or `recompute: block` makes room for it.',
  },
  'mini-batches-without-use': {
    about:
      '`embedding.mini_batch_size` passes each text through the model twice, so that a large batch of samples that are compared with each other fits into little memory. Here nothing is gained by it: the loss compares no samples, or the batch is no larger than a mini-batch.',
    fix: 'Removes the setting.',
  },
  'dims-repeat': { about: 'A length of vectors is listed twice in `embedding.matryoshka_dims`, so its loss would count twice.' },
  'format-for-task': {
    about:
      'A classification task reads samples with a label; an image task reads images; a task that compares answers reads pairs of them, and one that judges them reads prompts with an answer.',
  },
  'prompt-without-text': { about: '`data.prompt` has no `{text}`, so every sample would read the same.' },
  'labels-repeat': { about: 'A label is listed twice. Its place in the list is its id, so each label may appear only once.' },
  'column-twice': { about: 'One column of the data is used for two purposes, which is rarely intended.' },
  'fused-attention': {
    about: '`attention: fused` asks for a kernel of the device, and such kernels compute in 16 bits.',
    fix: 'Writes `attention: auto`.',
  },
  'quantized-base': {
    about:
      'A weight held in 8 or 4 bits is frozen. `full`, `rosa` and `shira` train the weights themselves, and `dependencies` trains single elements of them. `lora`, `dora`, `vera` and `spsft` work with `quantize`; the rows or columns of `spsft` are then held in 32 bits next to the weight.',
    fix: 'Writes `quantize: none`.',
  },
  'base-not-held': {
    about:
      'With `init_lora_weights: pissa` the factors start inside the weights, and the run holds the rest of them. With `preference.reference: live` the losses are compared with the base that the run holds, which it then does not.',
    fix: 'Writes `reference: cached`, which reads the base before the first update.',
  },
  'measure-of-columns': {
    about:
      'Most measures say how much an output of a layer matters. With `trains: columns` inputs are chosen, which only some measures score.',
    fix: 'Writes a measure that scores columns.',
  },
  'precision-on-portable': {
    about:
      'The portable engine holds bfloat16, 8-bit and 4-bit numbers in 32 bits. The results are those of fewer bits, but no memory is saved.',
    fix: 'Writes the full precision.',
  },
  'everything-frozen': { about: 'Every part of the model is frozen, so nothing would be trained.' },
  'processes-of-engine': {
    about: 'Gradients of several processes are summed by the TensorFlow and PJRT engines; the portable engine trains in one process.',
    fix: 'Set `engine: tensorflow`, or leave out `processes`.',
  },
  'transport-of-engine': {
    about: 'The collectives over gRPC belong to TensorFlow. The PJRT engine hands gradients to MPI through the memory of the host.',
    fix: 'Set `process_transport: mpi`, or `engine: tensorflow`.',
  },
  'processes-and-bad-images': {
    about: 'With `data.bad_images: skip`, the rows of a batch depend on which images decode, and each process or device has only its own.',
    fix: 'Set `data.bad_images: error`, or leave out `processes` or `devices`.',
  },
  'exchange-in-one-process': {
    about: '`gradient_exchange_dtype` has an effect where several processes exchange gradients, and the recipe has one.',
    fix: 'Raise `processes`, or remove the setting. Nothing is to be done if mpirun or srun starts several processes.',
  },
  'exchange-of-transport': {
    about: "TensorFlow's collectives exchange float32; gradients in fewer bits need MPI.",
    fix: 'Set `gradient_exchange_dtype: float32`, or `process_transport: mpi`.',
  },
  'open-ports': {
    about:
      'With `process_transport: grpc`, each process runs a server of TensorFlow, which listens on all addresses of its machine and has no password. Whoever reaches its port can run programs in the process, which may read and write files. Only a command that a person types starts such a run: neither the editor nor the daemon does.',
    fix: 'Use MPI (`process_transport: mpi`), or a network in which everyone is trusted.',
  },
  'global-batch': {
    about:
      '`per_device_train_batch_size` is the batch of each process or device. An update averages over the rows of all of them, so the same learning rate meets a larger batch, and an epoch has fewer updates.',
  },
  'devices-of-engine': {
    about: `A step for several devices of one process is compiled by ${labelsOf(replicating)} alone.`,
    fix: `Set \`engine: ${orList(replicating)}\`, leave out \`devices\`, or start a process for each device with \`processes\`.`,
  },
  'devices-and-processes': {
    about:
      'Processes exchange gradients through the memory of the host between programs, devices within a program. A run does one of them.',
    fix: 'Leave out `devices` or `processes`. mpirun and srun start several processes.',
  },
  'devices-and-mini-batches': {
    about:
      'Devices of one process run each program at the same time. With `embedding.mini_batch_size`, a short batch has fewer mini-batches on some of them.',
    fix: 'Remove `embedding.mini_batch_size`, or leave out `devices` and start a process for each device with `processes`.',
  },
  'devices-and-offload': {
    about:
      '`optimizer_offload` moves the state of the optimizer of one device, and `base_offload` its weights. Several devices of one process keep theirs.',
    fix: 'Set `optimizer_offload: none` and `base_offload: none`, or leave out `devices`.',
  },
  'base-offload-of-engine': {
    about: `\`base_offload: host\` needs programs that move each weight to the device for its uses. The programs of ${labelsOf(hostingEngines)} do so.`,
    fix: `Set \`engine: ${orList(hostingEngines)}\`, or \`base_offload: none\`.`,
  },
  'base-offload-of-method': {
    about:
      'Weights in host memory are read and not written. Trained rows, columns and single elements of them lie on the device. Whole weights would have to be written back, as would those that `importance.measure: movement` trains for a pass.',
    fix: 'Choose `spsft` or `lora`, another measure, or `base_offload: none`.',
  },
  'sweep-without-settings': { about: '`sweep` has settings, but `sweep.over` is missing, so it has nothing to try.' },
  'sweep-without-evaluation': {
    about: 'A sweep compares its runs by held-out data, and this recipe evaluates none.',
    fix: 'Set `data.eval` or `val_size`, and an `eval_strategy` other than `no`.',
  },
  'sweep-metric-of-other-task': { about: '`sweep.metric` is not measured for this `task`.' },
  'sweep-mode': { about: '`sweep.mode` is the opposite of what the metric means, so the worst run would win.' },
  'sweep-open-range': { about: 'A grid tries every combination, so a range needs a `count` of points.' },
  'sweep-too-large': { about: 'The grid has more combinations than `max_runs` allows.', fix: 'Use fewer values, or `strategy: random`.' },
  'sweep-few-evaluations': {
    about: '`strategy: halving` stops losers at an evaluation, but every run ends at or before the first comparison.',
    fix: 'Evaluate more often, for example `eval_strategy: steps` with `eval_steps: 0.1`.',
  },
  'sweep-measured-dtype': {
    about: '`dtype: auto` is decided by a measurement when a run starts. Two runs of a sweep could decide differently.',
    fix: 'Writes `dtype: float32`.',
  },
  'sweep-moves-held-out': {
    about:
      '`seed` draws the held-out samples of `val_size` and `data.eval_max_samples`. Runs with different seeds would be measured on different data.',
    fix: 'Use a file as `data.eval`, or sweep `data_seed`.',
  },
  'ignored-key': { about: 'The setting has no effect next to the others, for example `lora_alpha` with `method: spsft`.' },
};
