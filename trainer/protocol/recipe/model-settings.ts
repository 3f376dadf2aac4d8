/** Settings of the model and of the method that tunes it. */

import { engineChoices } from '../../catalog/engines.ts';
import { choicesOf } from '../../catalog/entries.ts';
import { measureCatalog } from '../../catalog/measures.ts';
import { type MethodName, methodCatalog, methodsThat } from '../../catalog/methods.ts';
import { type ObjectiveName, objectiveCatalog } from '../../catalog/objectives.ts';
import { linearPattern, PatternError } from '../linear-pattern.ts';
import { defaulted, derived, type Given, optional, required } from './setting.ts';
import { choice, filePath, flag, integer, listOf, number, text } from './value-type.ts';

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
    linearPattern(name.slice(1, -1));
    return undefined;
  } catch (error) {
    if (error instanceof PatternError) return `this one ${error.message}`;
    throw error;
  }
};

/** Each is compared with every module of the model, with every keystroke. */
const MAX_MODULE_NAMES = 200;
const moduleName = text({ noun: 'module name or /regular expression/', maxLength: 200, refuse: refuseModule });

export const modelSettings = {
  name: optional(text({ noun: 'name', maxLength: 100, refuse: refuseName }), {
    doc: 'A name for the run, used for its folder and in lists.',
  }),
  model: required(text({ noun: 'folder, .gguf file or hub name' }), {
    doc: 'The base model: a folder with config.json and safetensors, a .gguf file, or a name on the Hugging Face hub.',
    memory: 'Its parameters are held once, in the dtype of the run, or quantized.',
  }),
  revision: defaulted(text({ noun: 'branch, tag or commit' }), 'main', {
    doc: 'The branch, tag or commit of a model that comes from the hub.',
  }),
  task: defaulted(choice(choicesOf(objectiveCatalog)), 'causal_lm', { doc: 'What the model is tuned to do.' }),
  engine: defaulted(choice(engineChoices), 'auto', { doc: 'What computes: an engine that is asked for by name and missing is an error.' }),
  dtype: defaulted(
    choice({
      float32: '32-bit floating point.',
      bfloat16: 'Weights, products and what is kept of them in 16 bits; norms, softmax, the loss and what is trained in 32.',
      auto: 'What a measurement shows to be faster on the device, bfloat16 or float32; the run says which.',
    }),
    'float32',
    {
      doc: 'The number format of weights and computation.',
      memory: 'float32 takes four bytes a parameter and a kept activation; bfloat16 two, and four more for each trained parameter.',
    },
  ),
  quantize: defaulted(
    choice({
      none: 'The base is held in the dtype.',
      int8: 'Frozen linear layers in 8 bits, one scale a row.',
      nf4: 'Frozen linear layers in 4 bits, as QLoRA holds them.',
    }),
    'none',
    {
      doc: 'Holds the frozen linear layers of the blocks in fewer bits; trained rows and factors stay in 32 bits, and the head and embeddings in the dtype.',
      memory: 'int8 takes one byte a parameter of these layers, nf4 about half a byte; one such weight at a time is unpacked.',
    },
  ),
  threads: defaulted(integer({ min: 0, max: 1024 }), 0, { doc: 'Processor threads of one operation; 0 takes all cores.' }),
};

/** The entry of the recipe's method; a recipe with an unknown method has none. */
const methodOf = ({ method }: Given) => methodCatalog[method as MethodName] ?? methodCatalog.spsft;

/** What `freeze` names: every weight belongs to one of them. */
export const modelParts = {
  attention: 'The projections of attention blocks (the FA- variants of the paper).',
  mlp: 'The feed-forward layers.',
  convolution: 'The convolutions of a ResNet.',
  norm: 'The normalization layers.',
  embedding: 'The token, position and patch embeddings.',
  head: 'The language-model or classifier head.',
} as const;

export const methodSettings = {
  method: defaulted(choice(choicesOf(methodCatalog)), 'spsft', {
    doc: 'How the model is tuned.',
    memory:
      'head and bitfit take the least, then spsft, then vera, lora and dora; rosa holds the gradient of one whole weight at a time, full gradient and optimizer state for every weight.',
  }),
  ratio: optional(
    number({ min: 0, max: 1, aboveMin: true }),
    {
      doc: "The share of the rows of each targeted layer that spsft trains, and so of the targeted parameters; it stands in place of 'r', and beside it in spsft+lora.",
      memory: 'Trainable parameters, gradients and optimizer state grow in proportion.',
    },
    { text: `0.02 for ${methodsThat(({ ratio }) => ratio !== undefined)}`, value: given => methodOf(given).ratio },
  ),
  dependencies: defaulted(flag(), false, {
    doc: 'Trains, with the chosen rows of spsft, the columns that read them and the norm entries between, at half as many rows.',
    memory: 'Two indices for each trained element.',
  }),
  r: optional(
    integer({ min: 1, max: 1_000_000 }),
    {
      doc: 'The rows trained in each layer (spsft) or the rank of the product (lora and its relatives).',
      memory: 'Trainable parameters, gradients and optimizer state grow in proportion; with vera they hardly do.',
    },
    {
      text: '32 for spsft unless ratio is given, 256 for vera, 16 for the others that have a rank',
      value: given => {
        const { r } = methodOf(given);
        return r?.counts === 'rows' && given.ratio !== undefined ? undefined : r?.fallback;
      },
    },
  ),
  sparse_ratio: defaulted(number({ min: 0, max: 1, aboveMin: true }), 0.006, {
    doc: 'The share of the elements of each targeted weight that rosa trains beside its low-rank product.',
    memory: 'Trainable parameters, gradients and optimizer state grow in proportion, and four bytes more for the place of each.',
  }),
  lora_alpha: defaulted(number({ min: 0, aboveMin: true }), 16, {
    doc: 'The low-rank product of lora, dora, rosa and spsft+lora is scaled by lora_alpha / r.',
  }),
  lora_dropout: defaulted(number({ min: 0, max: 0.99 }), 0, {
    doc: 'The probability of dropping an input of the low-rank product during training.',
    memory: 'Above 0 each layer keeps a mask or recomputes its dropped input.',
  }),
  projection_prng_key: defaulted(integer({ min: 0, max: MAX_SEED }), 0, {
    doc: 'The key of the frozen random matrices of vera; PEFT makes the same ones from it.',
  }),
  d_initial: defaulted(number({ min: -100, max: 100 }), 0.1, { doc: 'Where every entry of the vectors d of vera starts.' }),
  target_modules: defaulted(listOf(moduleName, "'all-linear' or a list of module names", { most: MAX_MODULE_NAMES }), ['all-linear'], {
    doc: "The layers to tune: 'all-linear', or names that match the end of a module's path as in PEFT, or a /regular expression/ for the whole path.",
    memory: 'Fewer targets mean fewer kept inputs, gradients and optimizer states.',
  }),
  freeze: defaulted(listOf(choice(modelParts), 'a list of parts of the model'), [], {
    doc: 'Parts of the model that stay as they are even where target_modules or modules_to_save matches them.',
    memory: 'A frozen part keeps no gradient and no optimizer state.',
  }),
  modules_to_save: derived(
    listOf(moduleName, "'head' or a list of module names", { most: MAX_MODULE_NAMES }),
    '[] for causal_lm, [head] for classification',
    given => (objectiveCatalog[given.task as ObjectiveName]?.model === 'classifier' ? ['head'] : []),
    {
      doc: "Modules trained whole beside what the method trains: 'head' is the output head, other names match as in target_modules.",
      memory: 'A whole module keeps its gradient and optimizer state.',
    },
  ),
};

export const importanceSettings = {
  measure: defaulted(choice(choicesOf(measureCatalog)), 'magnitude', {
    doc: 'The score by which rows are chosen.',
    memory:
      'taylor and taylor_squared hold the mean gradients of one sweep, or that of one layer (importance.exact); the others hold none.',
  }),
  selection: defaulted(
    choice({
      per_layer: 'The best rows of each layer: r rows, or the share ratio.',
      global:
        'The best rows of all layers, by score over the mean score of their layer, until as many parameters are chosen as per_layer would; every layer keeps one row.',
    }),
    'per_layer',
    { doc: 'Whether rows compete within their layer or over all layers.' },
  ),
  samples: defaulted(integer({ min: 1, max: 10_000_000 }), 64, { doc: 'How many training samples a measure looks at.' }),
  batch_size: derived(integer({ min: 1, max: 4096 }), 'the train batch', given => Number(given.per_device_train_batch_size), {
    doc: 'Samples in one batch of the importance pass.',
    memory: 'Activations of the importance pass grow in proportion.',
  }),
  seed: derived(integer({ min: 0, max: MAX_SEED }), 'the seed of the run', given => Number(given.seed), {
    doc: 'The seed of the random measure and of the choice of samples.',
  }),
  exact: defaulted(flag(), true, {
    doc: 'Whether taylor and taylor_squared take the mean gradient over all samples, in as many sweeps over the data as memory asks for; false adds up the scores by the gradient of each batch, in one pass.',
    memory:
      'true holds the mean gradients of one sweep, up to a quarter of the memory that the weights leave free; false the gradient of one layer.',
  }),
  cache: defaulted(flag(), true, {
    doc: 'Takes scores from the cache folder where the same were computed before, and keeps new ones there.',
  }),
  scores: optional(filePath(), { doc: 'A file of saved scores to use instead of computing them.' }),
};
