/** Settings of the model and of the method that tunes it. */
import { defaulted, derived, optional, required } from './setting.ts';
import { choice, flag, integer, listOf, number, text } from './value-type.ts';

/** Python's and PyTorch's seeds are 32-bit; the same bound keeps a recipe portable. */
export const MAX_SEED = 2 ** 32 - 1;

/** A name becomes a folder on any system. */
const refuseName = (name: string): string | undefined =>
  /^[\p{L}\p{N}_][\p{L}\p{N}._ -]*$/u.test(name) && !/[. ]$/.test(name)
    ? undefined
    : 'letters, digits, spaces and . _ - only, as it names a folder';

const refuseModule = (name: string): string | undefined => {
  if (!name.startsWith('/')) return undefined;
  if (name.length < 3 || !name.endsWith('/')) return 'a regular expression is written /between slashes/';
  try {
    new RegExp(name.slice(1, -1), 'u');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'not a regular expression';
  }
};

export const modelSettings = {
  name: optional(text({ noun: 'name', maxLength: 100, refuse: refuseName }), {
    doc: 'A name for the run, used for its folder and in lists.',
  }),
  model: required(text({ noun: 'folder, .gguf file or hub name' }), {
    doc: 'The base model: a folder with config.json and safetensors, a .gguf file, or a name on the Hugging Face hub.',
    memory: 'Its parameters are held once, in the dtype of the run.',
  }),
  revision: defaulted(text({ noun: 'branch, tag or commit' }), 'main', {
    doc: 'The branch, tag or commit of a model that comes from the hub.',
  }),
  task: defaulted(
    choice({
      causal_lm: 'Predict the next token; the language models.',
      sequence_classification: 'Predict one label for a text.',
      image_classification: 'Predict one label for an image.',
    }),
    'causal_lm',
    { doc: 'What the model is tuned to do.' },
  ),
  engine: defaulted(
    choice({
      auto: 'TensorFlow where it is installed, else the portable engine with a warning.',
      tensorflow: 'TensorFlow, on the CPU or a CUDA GPU; an error where it is missing.',
      portable: 'WebGPU or WebAssembly, with nothing to install.',
    }),
    'auto',
    { doc: 'What computes: an engine that is asked for by name and missing is an error.' },
  ),
  dtype: defaulted(choice({ float32: '32-bit floating point.' }), 'float32', {
    doc: 'The number format of weights and computation.',
    memory: 'Four bytes a parameter and an activation.',
  }),
  threads: defaulted(integer({ min: 0, max: 1024 }), 0, { doc: 'Processor threads of one operation; 0 takes all cores.' }),
};

export const methodSettings = {
  method: defaulted(
    choice({
      spsft: 'Train the most important rows of each weight in place.',
      lora: 'Train a low-rank product beside each weight.',
      full: 'Train every weight.',
    }),
    'spsft',
    {
      doc: 'How the model is tuned.',
      memory: 'spsft takes the least, then lora; full keeps gradient and optimizer state for every weight.',
    },
  ),
  ratio: optional(number({ min: 0, max: 1, aboveMin: true }), {
    doc: "The share of the targeted parameters that spsft trains, chosen over all layers; it stands in place of 'r'.",
    memory: 'Trainable parameters, gradients and optimizer state grow in proportion.',
  }),
  r: optional(
    integer({ min: 1, max: 1_000_000 }),
    {
      doc: 'The rows trained in each layer (spsft) or the rank of the product (lora).',
      memory: 'Trainable parameters, gradients and optimizer state grow in proportion.',
    },
    {
      text: '32 for spsft unless ratio is given, 16 for lora',
      value: given => (given.method === 'lora' ? 16 : given.method === 'spsft' && given.ratio === undefined ? 32 : undefined),
    },
  ),
  lora_alpha: defaulted(number({ min: 0, aboveMin: true }), 16, { doc: 'The LoRA product is scaled by lora_alpha / r.' }),
  lora_dropout: defaulted(number({ min: 0, max: 0.99 }), 0, {
    doc: 'The probability of dropping an input of the LoRA product during training.',
    memory: 'Above 0 each layer keeps a mask or recomputes its dropped input.',
  }),
  target_modules: defaulted(
    listOf(
      text({ noun: 'module name or /regular expression/', maxLength: 200, refuse: refuseModule }),
      "'all-linear' or a list of module names",
    ),
    ['all-linear'],
    {
      doc: "The layers to tune: 'all-linear', or names that match the end of a module's path as in PEFT, or a /regular expression/ for the whole path.",
      memory: 'Fewer targets mean fewer kept inputs, gradients and optimizer states.',
    },
  ),
  freeze: defaulted(
    listOf(
      choice({
        attention: 'The projections of attention blocks (the FA- variants of the paper).',
        mlp: 'The feed-forward layers.',
        norm: 'The normalisation layers.',
        embedding: 'The token, position and patch embeddings.',
        head: 'The language-model or classifier head.',
      }),
      'a list of parts of the model',
    ),
    [],
    {
      doc: 'Parts of the model that stay as they are even where target_modules matches them.',
      memory: 'A frozen part keeps no gradient and no optimizer state.',
    },
  ),
};

export const importanceSettings = {
  measure: defaulted(
    choice({
      magnitude: 'The length of each row; needs only the weights.',
      taylor: 'Weight times mean gradient, summed over the elements of each row; needs data.',
      taylor_row: 'Row times its gradient, from outputs and their gradients alone; needs data.',
      random: 'Random rows, as a control.',
    }),
    'magnitude',
    {
      doc: 'The score by which rows are chosen.',
      memory: 'taylor holds the weight gradient of the layers of one sweep; the others hold none.',
    },
  ),
  samples: defaulted(integer({ min: 1, max: 10_000_000 }), 64, { doc: 'How many training samples the Taylor measures look at.' }),
  batch_size: derived(integer({ min: 1, max: 4096 }), 'the train batch', given => Number(given.per_device_train_batch_size), {
    doc: 'Samples in one batch of the importance pass.',
    memory: 'Activations of the importance pass grow in proportion.',
  }),
  seed: derived(integer({ min: 0, max: MAX_SEED }), 'the seed of the run', given => Number(given.seed), {
    doc: 'The seed of the random measure and of the choice of samples.',
  }),
  exact: defaulted(flag(), false, {
    doc: 'Makes element-wise Taylor use the exact mean gradient over all batches, in several sweeps over the data.',
    memory: 'Holds the mean gradient of the layers of one sweep.',
  }),
  scores: optional(text({ noun: 'path' }), { doc: 'A file of saved scores to use instead of computing them.' }),
};
