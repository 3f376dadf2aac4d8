/** Settings of the optimisation: length, learning rate, optimizer, and what is recomputed. */
import { type MethodName, methodCatalog } from '../../catalog/methods.ts';
import { MAX_SEED } from './model-settings.ts';
import { defaulted, derived, optional } from './setting.ts';
import { choice, integer, number } from './value-type.ts';

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
      constant: 'Stays after warm-up.',
    }),
    'linear',
    { doc: 'How the learning rate falls over the run.' },
  ),
  min_learning_rate: defaulted(number({ min: 0, max: 100 }), 0, { doc: 'The learning rate at the end of a cosine schedule.' }),
  warmup_ratio: optional(number({ min: 0, max: 1 }), { doc: 'The share of all updates over which the learning rate rises from 0.' }),
  warmup_steps: optional(integer({ min: 0, max: MAX_STEPS }), {
    doc: "The number of updates over which the learning rate rises from 0; it stands in place of 'warmup_ratio'.",
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
  weight_decay: defaulted(number({ min: 0, max: 100 }), 0, { doc: 'How strongly trained weights are pulled towards 0.' }),
  adam_beta1: defaulted(number({ min: 0, max: 0.999999 }), 0.9, { doc: 'The decay of the mean of gradients in Adam.' }),
  adam_beta2: defaulted(number({ min: 0, max: 0.999999 }), 0.999, { doc: 'The decay of the mean of squared gradients in Adam.' }),
  adam_epsilon: defaulted(number({ min: 0, max: 1, aboveMin: true }), 1e-8, { doc: "The number that keeps Adam's denominator above 0." }),
  momentum: defaulted(number({ min: 0, max: 0.999999 }), 0, {
    doc: 'The momentum of sgd.',
    memory: 'Above 0 it holds one number for each trained parameter.',
  }),
  max_grad_norm: defaulted(number({ min: 0 }), 1, {
    doc: 'Gradients are scaled down to this global norm; 0 leaves them alone.',
    memory: 'Above 0 all gradients of one step are alive together before the update.',
  }),
  max_loss_ratio: defaulted(number({ min: 1, aboveMin: true }), 20, {
    doc: 'Stops the run when the loss is not finite or exceeds this multiple of where it began: the most of first loss, held-out loss, and 1.',
  }),
  seed: defaulted(integer({ min: 0, max: MAX_SEED }), 42, { doc: 'The seed of everything random in the run.' }),
  batch_norm: defaulted(
    choice({
      frozen: 'Normalise by the statistics that the model came with, in training as in evaluation, and leave them alone.',
      updated: "Normalise by each batch's own, and let the running statistics follow them; they are stored with the adapter.",
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
