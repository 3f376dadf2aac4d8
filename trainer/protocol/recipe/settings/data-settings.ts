/** Settings of the data: its location, its format, and how much of it is used. */

import { IMAGE_MAX_PIXELS } from '../../image-size.ts';
import { defaulted, derived, FAIR_SWEEP, group, optional } from '../setting.ts';
import { choice, filePath, flag, integer, listOf, mapOf, number, text } from '../value-type.ts';
import { samplesAtATime } from './embedding-settings.ts';

/** Maximum number of tokens: more than any model in use has positions. */
const MAX_TOKENS = 10_000_000;

const count = () => integer({ min: 1, max: 1_000_000_000 });

/** Refuses anything but a commit: other names on the branch of converted files do not last. */
const notCommit = (revision: string): string | undefined =>
  /^[0-9a-f]{40}$/.test(revision) ? undefined : '40 hexadecimal digits, as the log of a run shows them';

export const dataGroup = group('The data: files, format and preprocessing.', {
  train: defaulted(listOf(filePath(), 'a path or a list of paths'), [], {
    doc: 'The training data: a json, jsonl, csv, tsv, parquet or arrow file, plain text, a folder, the name of a data set on the Hugging Face Hub (org/name), or a list of them.',
  }),
  eval: defaulted(listOf(filePath(), 'a path or a list of paths'), [], {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The held-out data, read in the same way as the training data.',
  }),
  config: optional(text({ noun: 'name of a configuration' }), {
    doc: 'The configuration (subset) of data sets on the hub; left out, the only one, or the one called default.',
  }),
  split: defaulted(text({ noun: 'name of a split' }), 'train', { doc: 'The split of a data set on the hub that is trained on.' }),
  eval_split: defaulted(text({ noun: 'name of a split' }), 'validation', {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The split of a data set on the hub that data.eval names.',
  }),
  revision: optional(text({ noun: 'commit', refuse: notCommit }), {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The commit of the Parquet files of a data set on the hub, which the log of a run names; left out, the newest one.',
  }),
  format: defaulted(
    choice({
      auto: 'Detected from the keys of the first samples, and logged.',
      alpaca: 'Keys instruction, input and output.',
      messages: 'A list of messages with role and content.',
      sharegpt: 'Key conversations, a list with from and value.',
      prompt_completion: 'Keys prompt and completion.',
      preference: 'Keys chosen and rejected, with or without prompt; texts or lists of messages.',
      text: 'Key text, or plain text files.',
      text_label: 'Keys text and label.',
    }),
    'auto',
    { doc: 'The format of the samples.' },
  ),
  columns: defaulted(
    mapOf(
      {
        text: 'The text of a sample.',
        text_pair: 'The second text of a sample, for tasks about two texts.',
        image: 'The image of a sample.',
        images: 'The images of a sample, for a language model that reads images.',
        label: 'The label of a sample.',
        instruction: 'The instruction (alpaca).',
        input: 'The input of the instruction (alpaca).',
        output: 'The answer (alpaca).',
        system: 'The system message (alpaca, sharegpt, preference).',
        prompt: 'The prompt.',
        completion: 'The completion.',
        chosen: 'The better answer of a pair.',
        rejected: 'The worse answer of a pair.',
        messages: 'The list of messages.',
        conversations: 'The list of turns (sharegpt).',
        tokens: 'The words of a sample, for labels of words.',
        tags: 'The label of each word.',
        query: 'The query of a document (reranker).',
        document: 'The document (reranker).',
        anchor: 'The text that others are compared with (embedding).',
        positive: 'The text that belongs to it (embedding).',
        negative: 'A text that does not belong to it (embedding).',
        negatives: 'A list of texts that do not belong to it (embedding).',
        score: 'The similarity of two texts (embedding).',
      },
      text({ noun: 'column name' }),
      'a map from expected names to the names in the data',
    ),
    {},
    { doc: 'Maps expected column names to the names in the data, for example {text: body, label: kind}.' },
  ),
  labels: defaulted(listOf(text({ noun: 'label name' }), 'a list of label names'), [], {
    doc: 'The names of the labels in the order of their ids; if empty, the names that the data declares, or its labels, sorted.',
  }),
  prompt: defaulted(text({ noun: 'template with {text}', maxLength: 100_000 }), 'Classify the text.\n\nText: {text}\n\nLabel:', {
    doc: 'The prompt for a text_label sample of a language model; {text} is replaced by the text and {labels} by the label names.',
  }),
  completion_only: defaulted(flag(), true, {
    doc: 'Computes the loss on answers only, not on prompts.',
    memory: 'Logits are computed only at positions with a loss.',
  }),
  trained_roles: defaulted(
    listOf(
      choice({
        assistant: 'Answers and calls of tools: what the model writes.',
        user: 'Turns of the user.',
        system: 'System messages.',
        developer: 'Messages of the role developer.',
        tool: 'Results of tools.',
      }),
      'a role or a list of roles',
    ),
    ['assistant'],
    {
      doc: 'The roles whose turns of a chat are trained; `train: true` or `train: false` in a turn decides for that turn, and with an empty list alone. Of a turn that the assistant has not written, the text and the marks that end it are trained.',
    },
  ),
  trained_turns: defaulted(
    choice({
      all: 'Every turn of these roles counts.',
      last: 'Only the last turn of these roles counts in each chat. Templates that remove the reasoning of earlier answers need this.',
    }),
    'all',
    { doc: 'Which turns of `data.trained_roles` count; `train: false` or `weight: 0` in a turn leaves out single ones.' },
  ),
  train_reasoning: defaulted(flag(), true, {
    doc: 'Trains the reasoning of answers, which the chat template writes before the answer itself. With false, reasoning is context, and so is text between `<think>` and `</think>` without a template.',
  }),
  train_end_of_turn: defaulted(flag(), true, {
    doc: 'Trains the token that ends an answer: the one of the chat template, or the end token after a text without a template. With false, it is context.',
  }),
  truncation: defaulted(
    choice({
      turns:
        'The chat ends after the last answer that fits. The first answer is cut if it does not fit, unless it calls a tool: then the chat is dropped.',
      end: 'The chat ends at the last token that fits, in the middle of an answer or a call.',
    }),
    'turns',
    {
      doc: 'Where a chat that is longer than max_length is cut. This includes chats of pairs and judged answers. The log counts them, and the preview shows what they lose.',
    },
  ),
  image_size: optional(integer({ min: 8, max: 4096 }), {
    doc: 'Height and width of images for convolutional networks; other models have a fixed size.',
    memory: 'Activations grow quadratically.',
  }),
  image_max_pixels: defaulted(integer({ min: 1024, max: 16_777_216 }), IMAGE_MAX_PIXELS, {
    doc: 'Maximum number of pixels of an image that a language model reads; a larger one is made smaller. An image of 768 × 768 pixels takes 576 tokens of Qwen3.5. Models that see images in one size ignore it.',
    memory:
      'The encoder, which is in memory only before the model is, takes more for larger images. Larger images take more tokens, and samples that are longer than max_length are dropped.',
  }),
  augment: defaulted(
    listOf(
      choice({
        flip: 'Flips half of the images horizontally.',
        crop: 'Crops a random part of 80 to 100% of the image.',
      }),
      'a list of augmentations',
    ),
    [],
    { doc: 'Random changes of the training images, new in each epoch.' },
  ),
  bad_images: defaulted(
    choice({
      fail: 'Stops the run and reports the file.',
      skip: 'Reports, counts and skips the image.',
    }),
    'fail',
    { doc: "Handling of images that can't be decoded. Headers and file endings are checked before the first step." },
  ),
  max_samples: optional(count(), { doc: 'Uses at most this many training samples, drawn at random by the seed.' }),
  eval_max_samples: optional(count(), {
    fixedInSweep: FAIR_SWEEP,
    doc: 'Uses at most this many held-out samples, drawn at random by the seed.',
  }),
  shuffle: defaulted(flag(), true, { doc: 'Shuffles the training samples in each epoch; false keeps the order of the files.' }),
});

export const sampleSettings = {
  val_size: defaulted(number({ min: 0, max: 1_000_000_000 }), 0, {
    fixedInSweep: FAIR_SWEEP,
    doc: 'Training samples held out for evaluation: a share below 1, or a count; 0 for none.',
  }),
  max_length: defaulted(integer({ min: 8, max: MAX_TOKENS }), 512, {
    doc: 'Maximum length of a sample in tokens; longer samples are truncated.',
    memory: 'Activations grow linearly; attention scores grow quadratically if a whole block is kept.',
  }),
  packing: defaulted(flag(), false, { doc: 'Packs several samples into each row of a batch to avoid padding.' }),
};

export const batchSettings = {
  group_by_length: derived(flag(), 'the value of data.shuffle', given => given['data.shuffle'] !== false, {
    doc: 'Groups samples of similar length into batches to reduce padding; false takes samples in order. Large data that is tokenized as training goes is grouped among about a thousand samples at a time.',
    memory: 'false pads every batch to its longest sample.',
  }),
  per_device_train_batch_size: defaulted(integer({ min: 1, max: 4096 }), 4, {
    doc: 'Samples per forward and backward pass.',
    memory: 'Activations grow linearly.',
  }),
  per_device_eval_batch_size: derived(
    integer({ min: 1, max: 4096 }),
    'the training batch size, or embedding.mini_batch_size',
    samplesAtATime,
    {
      doc: 'Samples per evaluation pass.',
      memory: 'The logits of an evaluation can outgrow those of training: use at most the training batch size.',
    },
  ),
  gradient_accumulation_steps: defaulted(integer({ min: 1, max: 65_536 }), 1, {
    doc: 'Batches whose gradients are averaged into one update.',
    memory: 'Above 1, the gradients of all trained parameters are kept between batches.',
  }),
};
