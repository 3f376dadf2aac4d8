/** Settings of the model and of the tuning method. */

import { engineChoices } from '../../../catalog/engines.ts';
import { choicesOf, entryOf } from '../../../catalog/entries.ts';
import {
  defaultMeasure,
  type MeasureName,
  measureCatalog,
  measureOfRows,
  measureWithoutData,
  measureWithoutScores,
} from '../../../catalog/measures.ts';
import { methodCatalog, methodsThat } from '../../../catalog/methods.ts';
import { hasHead, objectiveCatalog } from '../../../catalog/objectives.ts';
import { transportCatalog } from '../../../catalog/transports.ts';
import { refusePattern } from '../../text/linear-pattern.ts';
import { defaultUnit } from '../default-unit.ts';
import { defaulted, derived, FAIR_SWEEP, type Given, OWN_FOLDER, optional, required, SAME_MACHINE } from '../setting.ts';
import { choice, filePath, flag, integer, listOf, modelName, number, stepCount, text } from '../value-type.ts';
import { samplesAtATime } from './embedding-settings.ts';

/** Python's and PyTorch's seeds are 32-bit; the same bound keeps a recipe portable. */
export const MAX_SEED = 2 ** 32 - 1;

/** Refuses names that cannot be a folder name on every system. */
const refuseName = (name: string): string | undefined =>
  /^[\p{L}\p{N}_][\p{L}\p{N}._ -]*$/u.test(name) && !/[. ]$/.test(name)
    ? undefined
    : 'use only letters, digits, spaces and . _ -, because it names a folder';

const refuseModule = (name: string): string | undefined => {
  if (!name.startsWith('/')) return undefined;
  if (name.length < 3 || !name.endsWith('/')) return 'write a regular expression /between slashes/';
  return refusePattern(name.slice(1, -1));
};

/** Maximum number of names: each is compared with every module of the model on every keystroke. */
const MAX_MODULE_NAMES = 200;
const moduleName = text({ noun: 'module name or /regular expression/', maxLength: 200, refuse: refuseModule });

export const modelSettings = {
  name: optional(text({ noun: 'name', maxLength: 100, refuse: refuseName }), {
    fixedInSweep: OWN_FOLDER,
    doc: 'A name for the run, used for its folder and in lists.',
  }),
  model: required(modelName(), {
    doc: 'The base model: a folder with config.json and safetensors, a .gguf file, or a name on the Hugging Face hub.',
    memory: 'Its parameters are held once, in the dtype of the run, or quantized.',
  }),
  revision: defaulted(text({ noun: 'branch, tag or commit' }), 'main', {
    doc: 'The branch, tag or commit of a hub model.',
  }),
  task: defaulted(choice(choicesOf(objectiveCatalog)), 'causal_lm', {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The task that the model is tuned for.',
  }),
  engine: defaulted(choice(engineChoices), 'auto', {
    fixedInSweep: SAME_MACHINE,
    doc: 'The compute engine. A named engine that is not installed is an error.',
  }),
  dtype: defaulted(
    choice({
      float32: '32-bit floating point.',
      bfloat16: 'Weights, matrix products and stored activations in 16 bits; norms, softmax, the loss and trained parameters in 32.',
      auto: 'Either bfloat16 or float32, whichever a measurement on the device shows to be faster; the run logs its choice.',
    }),
    'float32',
    {
      doc: 'The number format of weights and computation.',
      memory: 'float32 takes four bytes per parameter and stored activation; bfloat16 takes two, plus four per trained parameter.',
    },
  ),
  quantize: defaulted(
    choice({
      none: 'The base weights keep the dtype.',
      int8: 'Frozen linear layers in 8 bits, one scale per row.',
      nf4: 'Frozen linear layers in 4 bits, as in QLoRA.',
    }),
    'none',
    {
      doc: 'Stores the frozen linear layers of the blocks in fewer bits. Trained rows, columns and factors stay in 32 bits, the head and embeddings in the dtype.',
      memory: 'int8 takes one byte per parameter of these layers, nf4 about half a byte; one weight at a time is unpacked.',
    },
  ),
  attention: defaulted(
    choice({
      auto: 'One kernel of the device where it has one that passes a comparison with the chunks at the start of the run, otherwise chunks; the run logs its choice.',
      fused:
        'One kernel of the device; a run that cannot have it is refused. Needs bfloat16 and a CUDA device of the PJRT engine. GPU: unmeasured.',
      chunked: 'Chunks of queries, on any device.',
    }),
    'auto',
    {
      doc: 'How training and evaluation compute attention.',
      memory:
        'Chunks keep the probabilities of each query and key at the recompute levels none and cheap; one kernel keeps one number per query and head. Estimates count chunks unless fused is written or a run has compiled the kernel here, and never count the workspace of the kernel.',
    },
  ),
  threads: defaulted(integer({ min: 0, max: 1024 }), 0, {
    fixedInSweep: SAME_MACHINE,
    doc: 'CPU threads per operation of a process; 0 for all cores, shared among the processes of the run.',
  }),
  devices: defaulted(integer({ min: 1, max: 127 }), 1, {
    fixedInSweep: SAME_MACHINE,
    doc: 'Devices of this machine that one process trains on, each on per_device_train_batch_size samples; several need the PJRT engine. Several GPUs: unmeasured.',
    memory: 'Each device holds the whole model.',
  }),
  processes: defaulted(integer({ min: 1, max: 4096 }), 1, {
    fixedInSweep: SAME_MACHINE,
    doc: 'Processes that train together over MPI, each on per_device_train_batch_size samples; under mpirun or srun, the number that was started.',
    memory: 'Each process holds the whole model.',
  }),
  process_transport: defaulted(choice(choicesOf(transportCatalog)), 'mpi', {
    fixedInSweep: SAME_MACHINE,
    doc: 'How processes reach each other; grpc works only from the command line, because it opens ports.',
  }),
  gradient_exchange_dtype: defaulted(
    choice({
      float32: 'Sums equal those of one process, up to the order of additions.',
      bfloat16:
        'Half of the bytes, for slow networks: each gradient is rounded once before it travels, and each sum once after it is made.',
      int8: 'A quarter of the bytes, for very slow networks: what rounding loses is added to the next gradient (error feedback).',
    }),
    'float32',
    {
      doc: 'Precision in which gradients travel between processes.',
      memory: 'bfloat16 and int8 take buffers of up to 64 MB; int8 also keeps four bytes per trained parameter in each process.',
    },
  ),
};

/** The catalog entry of the recipe's method; undefined for an unknown method. */
const methodOf = ({ method }: Given) => entryOf(methodCatalog, method) ?? methodCatalog.spsft;

/** The parts that `freeze` can name; every weight belongs to one of them. */
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
    doc: 'The tuning method.',
    memory:
      'head and bitfit need the least, then spsft, then vera, lora and dora. rosa and shira keep the gradient of one whole weight at a time; full keeps a gradient and optimizer state for every weight.',
  }),
  ratio: optional(
    number({ min: 0, max: 1, aboveMin: true }),
    {
      doc: "The share of the rows (or columns) in each targeted layer that spsft trains. Replaces 'r'; spsft+lora uses both.",
      memory: 'Trainable parameters, gradients and optimizer state grow linearly.',
    },
    { text: `0.02 for ${methodsThat(({ ratio }) => ratio !== undefined)}`, value: given => methodOf(given).ratio },
  ),
  trains: derived(
    choice({
      rows: 'Rows: the outputs of a layer, each with its bias entry.',
      columns: 'Columns: the inputs of a linear layer. Of its input, only these are kept for the backward pass.',
      coupled: 'Rows and the columns that read them in the same block: gate and up with down, values with the output of attention.',
    }),
    'columns for a language model that learns from texts, unless the recipe says how rows are chosen; otherwise rows',
    defaultUnit,
    {
      doc: 'The part of each weight that spsft chooses and trains; r and ratio count it.',
      memory: 'A column keeps one number per token of the input of its layer; with rows, the whole input is kept.',
    },
  ),
  dependencies: defaulted(flag(), false, {
    doc: 'In addition to half as many rows, trains the columns that read them and the norm entries between (spsft).',
    memory: 'Two indices for each trained element.',
  }),
  r: optional(
    integer({ min: 1, max: 1_000_000 }),
    {
      doc: 'The number of trained rows or columns per layer (spsft), or the rank (lora and its variants); shira trains as many elements as factors of this rank have.',
      memory: 'Trainable parameters, gradients and optimizer state grow linearly (barely with VeRA).',
    },
    {
      text: '32 for spsft without ratio, 256 for vera, 16 for other methods with a rank',
      value: given => {
        const { r } = methodOf(given);
        return r?.counts === 'rows' && given.ratio !== undefined ? undefined : r?.fallback;
      },
    },
  ),
  sparse_ratio: defaulted(number({ min: 0, max: 1, aboveMin: true }), 0.006, {
    doc: 'The share of the elements of each targeted weight that rosa trains in addition to its low-rank product.',
    memory: 'Trainable parameters, gradients and optimizer state grow linearly, plus four bytes per element for its index.',
  }),
  lora_alpha: defaulted(number({ min: 0, aboveMin: true }), 16, {
    doc: 'The low-rank product of lora, dora, rosa and spsft+lora is scaled by lora_alpha / r.',
  }),
  use_rslora: defaulted(flag(), false, {
    doc: 'Scales the low-rank product by lora_alpha / √r instead of lora_alpha / r (rsLoRA), so that large ranks learn as fast as small ones.',
  }),
  loraplus_lr_ratio: defaulted(number({ min: 0, max: 1000, aboveMin: true }), 1, {
    doc: "The learning rate of the product's factor B, relative to learning_rate (LoRA+). Its authors use 16 together with a lower learning_rate.",
  }),
  init_lora_weights: defaulted(
    choice({
      kaiming: 'A is random and B is zero, as with PEFT by default.',
      pissa:
        'A and B are the r largest singular values of each weight with their vectors, and the rest of the weight stays frozen (PiSSA). An adapter has rank 2r, so that it fits the whole weight.',
    }),
    'kaiming',
    {
      doc: 'Where the low-rank product of lora starts.',
      memory: 'pissa keeps the start of the factors too: four bytes for each trained parameter.',
    },
  ),
  lora_dropout: defaulted(number({ min: 0, max: 0.99 }), 0, {
    doc: 'The probability of dropping an input of the low-rank product during training.',
    memory: 'Above 0, each layer stores a mask or recomputes its dropped input.',
  }),
  projection_prng_key: defaulted(integer({ min: 0, max: MAX_SEED }), 0, {
    doc: "The seed of vera's frozen random matrices; PEFT generates the same ones from it.",
  }),
  d_initial: defaulted(number({ min: -100, max: 100 }), 0.1, { doc: "The initial value of vera's vectors d." }),
  target_modules: defaulted(listOf(moduleName, "'all-linear' or a list of module names", { most: MAX_MODULE_NAMES }), ['all-linear'], {
    doc: "The layers to tune: 'all-linear', or names that match the end of a module's path as in PEFT, or a /regular expression/ for the whole path.",
    memory: 'Fewer targets need fewer stored inputs, gradients and optimizer states.',
  }),
  freeze: defaulted(listOf(choice(modelParts), 'a list of parts of the model'), [], {
    doc: 'Parts of the model that stay frozen even if target_modules or modules_to_save matches them.',
    memory: 'Frozen parts need no gradient and no optimizer state.',
  }),
  modules_to_save: derived(
    listOf(moduleName, "'head' or a list of module names", { most: MAX_MODULE_NAMES }),
    '[head] for classification, otherwise []',
    given => (hasHead(String(given.task)) ? ['head'] : []),
    {
      doc: "Modules to train as a whole, in addition to the method: 'head' is the output head, other names match as in target_modules.",
      memory: 'Each module needs its gradient and optimizer state.',
    },
  ),
};

/** The default measure: only rows are chosen by scores by default. `spsft+lora` trains rows whatever `trains` says. */
function measureOf(given: Given): MeasureName {
  if (methodOf(given).trainsColumns && given.trains !== 'rows') return measureWithoutScores;
  const data = given['data.train'];
  return measureOfRows(Array.isArray(data) && data.length > 0);
}

export const importanceSettings = {
  measure: derived(
    choice(choicesOf(measureCatalog)),
    `${defaultMeasure} for rows, or ${measureWithoutData} without data.train; ${measureWithoutScores} with trains: columns or coupled`,
    measureOf,
    {
      doc: 'The importance score that selects rows or columns.',
      memory: 'taylor and taylor_squared keep mean gradients (importance.exact); the others keep none.',
    },
  ),
  selection: defaulted(
    choice({
      per_layer: 'The best rows of each layer: r rows, or a share (ratio).',
      global:
        "The best rows across all layers, by score relative to the layer's mean, until as many parameters are chosen as with per_layer; at least min_rows per layer.",
      proportional:
        'As many parameters as with per_layer, shared among the layers in proportion to the sum of their scores; at least min_rows per layer.',
    }),
    'per_layer',
    { doc: 'How the budget of rows is spent over the layers.' },
  ),
  min_rows: defaulted(integer({ min: 1, max: 1_000_000 }), 1, {
    doc: 'The rows that every layer keeps with selection: global or proportional, at most those of per_layer.',
  }),
  heads: defaulted(flag(), false, {
    doc: 'Chooses whole heads of attention: the rows of queries, keys and values (keys and values: those that a group of queries shares), or the columns that read them. A head is scored by the mean of its rows; layers without heads choose single rows.',
    memory: 'A layer trains at least one head, which may be more rows than r.',
  }),
  choose_again_after: optional(stepCount({ min: 0 }), {
    doc: 'Chooses rows a second time after this many updates, or this share of all, by the scores of the tuned model. Rows that stay keep their values and moments, new ones begin as they are in the base, and the others are given back.',
    memory: 'None: the second pass over samples runs while no training program is loaded.',
  }),
  samples: defaulted(integer({ min: 1, max: 10_000_000 }), 64, { doc: 'The number of training samples that a measure uses.' }),
  batch_size: derived(integer({ min: 1, max: 4096 }), 'the training batch size, or embedding.mini_batch_size', samplesAtATime, {
    doc: 'Samples per batch of the importance pass.',
    memory: 'Activations of the importance pass grow linearly.',
  }),
  seed: derived(integer({ min: 0, max: MAX_SEED }), 'the seed of the run', given => Number(given.seed), {
    doc: 'The seed of the random measure, of the random elements of shira, and of the sample selection.',
  }),
  exact: defaulted(flag(), true, {
    doc: 'Scores taylor and taylor_squared by the mean gradient over all samples, in as many sweeps over the data as memory requires; false sums the scores of each batch in one pass.',
    memory:
      'true keeps the mean gradients of one sweep, up to a quarter of the memory that the weights leave free; false keeps the gradient of one layer.',
  }),
  cache: defaulted(flag(), true, {
    doc: 'Reuses scores from the cache folder and stores new ones there.',
  }),
  scores: optional(filePath(), { doc: 'A saved score file to use instead of computing scores.' }),
};
