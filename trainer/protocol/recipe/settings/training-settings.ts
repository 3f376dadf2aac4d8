/** Settings of the optimization: length, learning rate, optimizer and recomputation. */
import { defaultLearningRate, learningRatesText } from '../../../catalog/methods.ts';
import { defaulted, derived, optional } from '../setting.ts';
import { choice, flag, integer, mapOf, number, stepCount } from '../value-type.ts';
import { MAX_SEED } from './model-settings.ts';

/** Maximum number of updates: far above any run, and exact as a 32-bit integer of an engine. */
const MAX_STEPS = 2 ** 31 - 1;

export const scheduleSettings = {
  num_train_epochs: defaulted(number({ min: 0, max: 100_000, aboveMin: true }), 3, { doc: 'The number of passes over the training data.' }),
  max_steps: defaulted(integer({ min: -1, max: MAX_STEPS }), -1, { doc: 'The number of updates; -1 to use num_train_epochs.' }),
  learning_rate: derived(
    number({ min: 0, max: 100, aboveMin: true }),
    learningRatesText(),
    given => defaultLearningRate({ method: given.method, task: given.task, trains: given.trains }),
    { doc: 'The learning rate after warm-up.' },
  ),
  lr_scheduler_type: defaulted(
    choice({
      linear: 'Decays linearly to 0.',
      cosine: 'Decays along half a cosine to min_learning_rate.',
      cosine_with_restarts: 'Decays along half a cosine to 0 several times (num_cycles).',
      polynomial: 'Decays to lr_end by a power of the remaining time.',
      inverse_sqrt: 'Decays with the square root of the time.',
      warmup_stable_decay: 'Constant after warm-up, then decays along half a cosine over the last num_decay_steps.',
      constant: 'Constant, without warm-up.',
      constant_with_warmup: 'Constant after warm-up.',
    }),
    'linear',
    { doc: 'The learning rate schedule.' },
  ),
  lr_scheduler_kwargs: defaulted(
    mapOf(
      {
        num_cycles: 'The number of cycles of cosine (0.5) or cosine_with_restarts (1).',
        power: 'The power of polynomial (1).',
        lr_end: 'The learning rate at the end of polynomial (1e-7).',
        timescale: 'The time scale of inverse_sqrt in updates (the warm-up, or 10000 without one).',
        num_decay_steps: 'The updates of the decay of warmup_stable_decay.',
        num_stable_steps: 'The updates of the constant phase of warmup_stable_decay (the rest of the run).',
        min_lr_ratio: 'The final learning rate of warmup_stable_decay, as a share of learning_rate (0).',
      },
      number({ min: 0 }),
      'a map of scheduler arguments to numbers',
    ),
    {},
    { doc: 'Arguments of the schedule, named as in Transformers.' },
  ),
  min_learning_rate: defaulted(number({ min: 0, max: 100 }), 0, { doc: 'The learning rate at the end of a cosine schedule.' }),
  warmup_ratio: optional(number({ min: 0, max: 1 }), { doc: 'The share of all updates in which the learning rate rises from 0.' }),
  warmup_steps: optional(stepCount({ min: 0 }), {
    doc: "The number of updates in which the learning rate rises from 0; a number below 1 is a share of all updates. Replaces 'warmup_ratio'.",
  }),
};

export const optimizerSettings = {
  optim: defaulted(
    choice({
      adamw: 'Adam with decoupled weight decay.',
      adam: 'Adam with weight decay added to the gradient.',
      adamw_8bit: 'The optimizer adamw with its two moments in 8 bits each, for many trained parameters.',
      adam_8bit: 'The optimizer adam with its two moments in 8 bits each.',
      sgd: 'Stochastic gradient descent, optionally with momentum.',
    }),
    'adamw',
    {
      doc: 'The optimizer.',
      memory:
        'Bytes per trained parameter: 8 for adam and adamw, 2 for their 8-bit forms (8 if fewer than 4096 are updated together), 0 for sgd, 4 with momentum.',
    },
  ),
  optimizer_offload: defaulted(
    choice({
      none: 'In the memory of the compute device.',
      host: 'In host memory. On TensorFlow the update then runs there; on PJRT each part moves to the device for its update. Without a GPU, it is there in any case.',
      disk: 'In a file in the run folder; each part is read for its update.',
    }),
    'none',
    {
      doc: "The location of the optimizer's state and of the float32 masters of bfloat16 weights between updates.",
      memory:
        'host moves the state and the masters out of GPU memory; disk keeps only the part being updated in memory. Each step takes longer.',
    },
  ),
  base_offload: defaulted(
    choice({
      none: 'In the memory of the compute device.',
      host: 'In host memory, for the weights of the blocks; each is moved to the device for its uses, in the forward pass and once more in the backward pass. Only on PJRT.',
    }),
    'none',
    {
      doc: 'The location of the weights of the base model. The results of a run stay the same.',
      memory:
        'host moves the weights of the blocks out of GPU memory; those of one or two blocks are there at a time. Each step moves them twice.',
    },
  ),
  weight_decay: defaulted(number({ min: 0, max: 100 }), 0, { doc: 'The strength of the pull of trained weights toward 0.' }),
  decay_norms_and_biases: defaulted(flag(), false, {
    doc: 'Applies weight_decay to norm weights and biases too, unlike the Hugging Face Trainer.',
  }),
  adam_beta1: defaulted(number({ min: 0, max: 0.999999 }), 0.9, { doc: "Adam's decay of the mean of gradients." }),
  adam_beta2: defaulted(number({ min: 0, max: 0.999999 }), 0.999, { doc: "Adam's decay of the mean of squared gradients." }),
  adam_epsilon: defaulted(number({ min: 0, max: 1, aboveMin: true }), 1e-8, { doc: "Added to Adam's denominator to keep it above 0." }),
  momentum: defaulted(number({ min: 0, max: 0.999999 }), 0, {
    doc: 'The momentum of sgd.',
    memory: 'Above 0, it needs one number per trained parameter.',
  }),
  max_grad_norm: defaulted(number({ min: 0 }), 1, {
    nullHint: 'use 0 to turn clipping off',
    doc: 'Gradients are scaled down to this global norm; 0 turns clipping off.',
    memory: 'Above 0, all gradients of a step are in memory at the same time.',
  }),
  label_smoothing_factor: defaulted(number({ min: 0, max: 0.99 }), 0, {
    doc: 'The share of each target that the training loss spreads evenly over all classes or tokens; evaluations are not smoothed.',
  }),
  class_weights: defaulted(
    choice({
      none: 'Every sample, or word, weighs the same.',
      balanced:
        'Each label weighs the same in total, as with scikit-learn; where samples may have several labels, having one weighs as much as not having it.',
    }),
    'none',
    { doc: 'The weights of labels in the training loss of a classifier, for labels of which some are rare; evaluations are not weighted.' },
  ),
  max_loss_ratio: defaulted(number({ min: 1, aboveMin: true }), 20, {
    doc: 'Stops the run if the loss is not finite or exceeds this multiple of its initial value: the largest of first loss, held-out loss and 1.',
  }),
  seed: defaulted(integer({ min: 0, max: MAX_SEED }), 42, { doc: 'The random seed of the run.' }),
  data_seed: derived(integer({ min: 0, max: MAX_SEED }), 'the seed of the run', given => Number(given.seed), {
    doc: 'The seed of the order of the samples.',
  }),
  batch_norm: defaulted(
    choice({
      frozen: "Normalizes by the model's own statistics in training and evaluation, and does not change them.",
      updated: 'Normalizes by the statistics of each batch and updates the running statistics, which are stored with the adapter.',
    }),
    'frozen',
    {
      doc: 'The statistics of batch norm layers in training; updated works as in PyTorch and needs large batches.',
      memory: 'updated stores the input of every batch norm, which doubles the activations of a ResNet.',
    },
  ),
  recompute: defaulted(
    choice({
      auto: 'The fastest level that fits into the free memory.',
      none: 'Store every activation.',
      cheap: 'Recompute norms, activation functions and softmax; store the inputs of matrix products.',
      block: 'Store only the input of each block.',
      sqrt: 'Store the input of every few blocks.',
    }),
    'auto',
    {
      doc: 'Which activations the backward pass recomputes instead of storing.',
      memory: 'none, cheap, block, sqrt: each level needs less memory and more time.',
    },
  ),
};
