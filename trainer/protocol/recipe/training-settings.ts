/** Settings of the optimization: length, learning rate, optimizer, and what is recomputed. */
import { type MethodName, methodCatalog } from '../../catalog/methods.ts';
import { MAX_SEED } from './model-settings.ts';
import { defaulted, derived, optional } from './setting.ts';
import { choice, flag, integer, mapOf, number, stepCount } from './value-type.ts';

/** Far above any run; it keeps step counts exact in 32-bit integers of an engine. */
const MAX_STEPS = 2 ** 31 - 1;

export const scheduleSettings = {
  num_train_epochs: defaulted(number({ min: 0, max: 100_000, aboveMin: true }), 3, { doc: 'How many times training goes over the data.' }),
  max_steps: defaulted(integer({ min: -1, max: MAX_STEPS }), -1, { doc: 'The number of updates; -1 leaves it to num_train_epochs.' }),
  learning_rate: derived(
    number({ min: 0, max: 100, aboveMin: true }),
    '2e-5 for spsft and full, 1e-4 for lora, dora and rosa, 5e-5 for spsft+lora, 1e-3 for bitfit and head, 4e-3 for vera',
    given => (methodCatalog[given.method as MethodName] ?? methodCatalog.spsft).learningRate,
    { doc: 'The learning rate after warm-up.' },
  ),
  lr_scheduler_type: defaulted(
    choice({
      linear: 'Falls in a straight line to 0.',
      cosine: 'Falls along half a cosine to min_learning_rate.',
      cosine_with_restarts: 'Falls along half a cosine to 0 several times (num_cycles).',
      polynomial: 'Falls to lr_end along a power of the time that is left.',
      inverse_sqrt: 'Falls with the square root of the time.',
      warmup_stable_decay: 'Stays after warm-up, then falls along half a cosine over the last num_decay_steps.',
      constant: 'Stays the same from the first update, without warm-up.',
      constant_with_warmup: 'Stays the same after warm-up.',
    }),
    'linear',
    { doc: 'How the learning rate falls over the run.' },
  ),
  lr_scheduler_kwargs: defaulted(
    mapOf(
      {
        num_cycles: 'Half cosines of cosine (in whole ones: 0.5), or cycles of cosine_with_restarts (1).',
        power: 'The power of polynomial (1).',
        lr_end: 'The learning rate at the end of polynomial (1e-7).',
        timescale: 'The updates over which inverse_sqrt falls to its first fraction (the warm-up, or 10000 without one).',
        num_decay_steps: 'The updates over which warmup_stable_decay falls.',
        num_stable_steps: 'The updates for which warmup_stable_decay stays (what warm-up and decay leave).',
        min_lr_ratio: 'The share of the learning rate that warmup_stable_decay ends with (0).',
      },
      number({ min: 0 }),
      'a map of scheduler arguments to numbers',
    ),
    {},
    { doc: "Arguments of the schedule, by Transformers' names." },
  ),
  min_learning_rate: defaulted(number({ min: 0, max: 100 }), 0, { doc: 'The learning rate at the end of a cosine schedule.' }),
  warmup_ratio: optional(number({ min: 0, max: 1 }), { doc: 'The share of all updates over which the learning rate rises from 0.' }),
  warmup_steps: optional(stepCount({ min: 0 }), {
    doc: "The number of updates over which the learning rate rises from 0, or below 1 the share of all updates; it stands in place of 'warmup_ratio'.",
  }),
};

export const optimizerSettings = {
  optim: defaulted(
    choice({
      adamw: 'Adam with weight decay apart from the gradient.',
      adam: 'Adam; weight decay is added to the gradient.',
      adamw_8bit: 'The optimizer adamw with its two moments in 8 bits each, for full and lora with many trained parameters.',
      adam_8bit: 'The optimizer adam with its two moments in 8 bits each.',
      sgd: 'Stochastic gradient descent, with momentum if asked.',
    }),
    'adamw',
    {
      doc: 'The optimizer.',
      memory:
        'adam and adamw hold eight bytes for each trained parameter, their 8-bit forms two (eight where fewer than 4096 are updated together), sgd none, or four with momentum.',
    },
  ),
  optimizer_offload: defaulted(
    choice({
      none: 'Where the model is computed.',
      host: 'On a GPU: in the memory of the host, where the update runs then. Without a GPU it is there in any case.',
      disk: 'In a file in the run folder, from which each part is read for its update.',
    }),
    'none',
    {
      doc: "Where the optimizer's state lies between updates, and the float32 masters of bfloat16 weights: for a model whose state does not fit.",
      memory:
        'host takes the state and the masters out of the memory of a GPU, disk out of all memory but the part that is being updated; each step takes longer.',
    },
  ),
  weight_decay: defaulted(number({ min: 0, max: 100 }), 0, { doc: 'How strongly trained weights are pulled toward 0.' }),
  decay_norms_and_biases: defaulted(flag(), false, {
    doc: 'Applies weight_decay to norm weights and biases too; the Hugging Face Trainer does not.',
  }),
  adam_beta1: defaulted(number({ min: 0, max: 0.999999 }), 0.9, { doc: 'The decay of the mean of gradients in Adam.' }),
  adam_beta2: defaulted(number({ min: 0, max: 0.999999 }), 0.999, { doc: 'The decay of the mean of squared gradients in Adam.' }),
  adam_epsilon: defaulted(number({ min: 0, max: 1, aboveMin: true }), 1e-8, { doc: "The number that keeps Adam's denominator above 0." }),
  momentum: defaulted(number({ min: 0, max: 0.999999 }), 0, {
    doc: 'The momentum of sgd.',
    memory: 'Above 0 it holds one number for each trained parameter.',
  }),
  max_grad_norm: defaulted(number({ min: 0 }), 1, {
    nullHint: '0 leaves gradients alone',
    doc: 'Gradients are scaled down to this global norm; 0 leaves them alone.',
    memory: 'Above 0 all gradients of one step are alive together before the update.',
  }),
  label_smoothing_factor: defaulted(number({ min: 0, max: 0.99 }), 0, {
    doc: 'The share of each target that is spread evenly over all classes or tokens in the training loss; evaluations are not smoothed.',
  }),
  max_loss_ratio: defaulted(number({ min: 1, aboveMin: true }), 20, {
    doc: 'Stops the run when the loss is not finite or exceeds this multiple of where it began: the most of first loss, held-out loss, and 1.',
  }),
  seed: defaulted(integer({ min: 0, max: MAX_SEED }), 42, { doc: 'The seed of everything random in the run.' }),
  data_seed: derived(integer({ min: 0, max: MAX_SEED }), 'the seed of the run', given => Number(given.seed), {
    doc: 'The seed of the order of the samples.',
  }),
  batch_norm: defaulted(
    choice({
      frozen: 'Normalize by the statistics that the model came with, in training as in evaluation, and leave them alone.',
      updated: "Normalize by each batch's own, and let the running statistics follow them; they are stored with the adapter.",
    }),
    'frozen',
    {
      doc: 'The statistics of batch norm layers in training; updated is what PyTorch does, and wants batches of many images.',
      memory: 'updated keeps the input of every batch norm, about twice the activations of a ResNet.',
    },
  ),
  recompute: defaulted(
    choice({
      auto: 'Whatever fits into the free memory and costs the least time.',
      none: 'Keep every activation.',
      cheap: 'Recompute norms, activations and softmax; keep the inputs of matrix products.',
      block: 'Keep only the input of each block.',
      sqrt: 'Keep the input of every few blocks.',
    }),
    'auto',
    {
      doc: 'Which activations the backward pass computes again instead of keeping.',
      memory: 'From none over cheap and block to sqrt each step takes less memory and more time.',
    },
  ),
};
