/** Settings of the data: where it is, how it reads, and how much of it is used. */
import { defaulted, derived, group, optional } from './setting.ts';
import { choice, filePath, flag, integer, listOf, mapOf, number, text } from './value-type.ts';

/** More tokens than any model in use has positions. */
const MAX_TOKENS = 10_000_000;

const count = () => integer({ min: 1, max: 1_000_000_000 });

export const dataGroup = group('Where the samples are and how they read.', {
  train: defaulted(listOf(filePath(), 'a path or a list of paths'), [], {
    doc: 'The training data: a json, jsonl, csv, tsv or parquet file, plain text, a folder, or a list of them.',
  }),
  eval: defaulted(listOf(filePath(), 'a path or a list of paths'), [], {
    doc: 'The held-out data, read in the same way as the training data.',
  }),
  format: defaulted(
    choice({
      auto: 'Told from the keys of the first samples, and said aloud.',
      alpaca: 'Keys instruction, input and output.',
      messages: 'A list of messages with role and content.',
      sharegpt: 'Key conversations, a list with from and value.',
      prompt_completion: 'Keys prompt and completion.',
      text: 'Key text, or plain text files.',
      text_label: 'Keys text and label.',
    }),
    'auto',
    { doc: 'How a sample is laid out.' },
  ),
  columns: defaulted(
    mapOf(
      {
        text: 'The text of a sample.',
        text_pair: 'The second text of a sample, for tasks about two texts.',
        image: 'The image of a sample, in Parquet files.',
        label: 'The label of a sample.',
        instruction: 'What is asked (alpaca).',
        input: 'What it is asked about (alpaca).',
        output: 'The answer (alpaca).',
        prompt: 'The prompt.',
        completion: 'The completion.',
        messages: 'The list of messages.',
        conversations: 'The list of turns (sharegpt).',
      },
      text({ noun: 'column name' }),
      'a map from expected names to the names in the data',
    ),
    {},
    { doc: 'Renames for columns that have another name in the data, for example {text: body, label: kind}.' },
  ),
  labels: defaulted(listOf(text({ noun: 'label name' }), 'a list of label names'), [], {
    doc: 'The names of the labels in the order of their ids; empty takes them from the data, sorted.',
  }),
  prompt: defaulted(text({ noun: 'template with {text}', maxLength: 100_000 }), 'Classify the text.\n\nText: {text}\n\nLabel:', {
    doc: 'The prompt that a text_label sample becomes for a language model; {text} is replaced by the text and {labels} by the names.',
  }),
  completion_only: defaulted(flag(), true, {
    doc: 'Counts the loss only on answers, not on prompts.',
    memory: 'Logits are computed only at positions that count.',
  }),
  trained_turns: defaulted(
    choice({
      all: 'Every answer of a chat counts.',
      last: 'Only the last answer of each chat counts. Templates that remove the reasoning of earlier answers need this.',
    }),
    'all',
    { doc: 'Which answers of a chat count; `train: false` or `weight: 0` in a turn leaves out single ones.' },
  ),
  image_size: optional(integer({ min: 8, max: 4096 }), {
    doc: 'Height and width of images, for convolutional networks, which take any; others have a size of their own.',
    memory: 'Activations grow with its square.',
  }),
  augment: defaulted(
    listOf(
      choice({
        flip: 'Left and right are exchanged in half of the images.',
        crop: 'A random part of 80 to 100% of the image is shown.',
      }),
      'a list of augmentations',
    ),
    [],
    { doc: 'Random changes of the training images, new in each epoch.' },
  ),
  bad_images: defaulted(
    choice({
      fail: 'The run stops and names the file.',
      skip: 'The image is named, counted and left out.',
    }),
    'fail',
    { doc: 'What is done about an image that does not decode. The header and the ending of each are looked at before the first step.' },
  ),
  max_samples: optional(count(), { doc: 'Uses at most this many training samples, drawn at random by the seed.' }),
  eval_max_samples: optional(count(), { doc: 'Uses at most this many held-out samples, drawn at random by the seed.' }),
  shuffle: defaulted(flag(), true, { doc: 'Draws the training samples in a new order each epoch; false keeps the order of the files.' }),
});

export const sampleSettings = {
  val_size: defaulted(number({ min: 0, max: 1_000_000_000 }), 0, {
    doc: 'Training samples held out for evaluation: a share below 1 or a count; 0 holds out none.',
  }),
  max_length: defaulted(integer({ min: 8, max: MAX_TOKENS }), 512, {
    doc: 'The longest sample in tokens; what is longer is cut.',
    memory: 'Activations grow in proportion, and attention scores with its square where a whole block is kept.',
  }),
  packing: defaulted(flag(), false, { doc: 'Fills each row of a batch with several samples, so that no position is padding.' }),
};

export const batchSettings = {
  group_by_length: derived(flag(), 'the value of data.shuffle', given => given['data.shuffle'] !== false, {
    doc: 'Makes batches of samples of similar length, so that little is padded; false makes each batch of the next samples in order.',
    memory: 'false pads every batch to its longest sample.',
  }),
  per_device_train_batch_size: defaulted(integer({ min: 1, max: 4096 }), 4, {
    doc: 'Samples in one forward and backward pass.',
    memory: 'Activations grow in proportion.',
  }),
  per_device_eval_batch_size: derived(
    integer({ min: 1, max: 4096 }),
    'the train batch',
    given => Number(given.per_device_train_batch_size),
    {
      doc: 'Samples in one evaluation pass.',
      memory: 'The logits of an evaluation can outgrow those of training: keep it at the train batch or below.',
    },
  ),
  gradient_accumulation_steps: defaulted(integer({ min: 1, max: 65_536 }), 1, {
    doc: 'Batches whose gradients are averaged into one update.',
    memory: 'Above 1 the gradients of everything trained are held between batches.',
  }),
};
