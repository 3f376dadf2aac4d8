/** Settings of embeddings: how vectors are computed and compared. */
import { defaulted, type Given, group, optional } from '../setting.ts';
import { choice, flag, integer, listOf, number, text } from '../value-type.ts';

/** Maximum number of hard negatives per anchor: each takes another row of the batch. */
const MAX_NEGATIVES = 64;

/** Maximum length of a prompt: longer than the instruction of any model in use. */
const MAX_PROMPT = 4096;

/** Number of samples of a training batch that pass through the model at the same time. */
export const samplesAtATime = ({ per_device_train_batch_size: batch, 'embedding.mini_batch_size': miniBatch }: Given): number =>
  Math.min(Number(batch), Number(miniBatch ?? batch));

export const embeddingGroup = group('Training of embeddings: how vectors are made and compared.', {
  loss_type: defaulted(
    choice({
      multiple_negatives: 'Finds the positive of each anchor among all positives and hard negatives of the batch, by cosine.',
      symmetric: 'The same, and the anchor of each positive among all anchors of the batch.',
      cosine: 'The squared distance of the cosine of two texts from their score.',
      triplet: 'The positive should be nearer to the anchor than the negative, by a margin.',
    }),
    'multiple_negatives',
    { doc: 'The loss, as in sentence-transformers.' },
  ),
  mini_batch_size: optional(integer({ min: 1, max: 4096 }), {
    doc: 'Samples whose texts pass through the model at a time, so that a large batch fits into little memory; left out, the whole batch.',
    memory: 'Activations are those of so many samples instead of the batch; each text passes through the model twice.',
  }),
  negatives: defaulted(integer({ min: 0, max: MAX_NEGATIVES }), 0, {
    doc: 'Hard negatives of each anchor (multiple_negatives and symmetric); every sample has as many, in keys such as negative or negative_1.',
    memory: 'Each is one more row of the batch for each sample.',
  }),
  scale: defaulted(number({ min: 0, max: 1000, aboveMin: true }), 20, {
    doc: 'The factor of the cosines (multiple_negatives and symmetric); the inverse of a temperature.',
  }),
  max_score: defaulted(number({ min: 0, max: 1_000_000, aboveMin: true }), 1, {
    doc: 'The highest score of the data (cosine): scores are divided by it, such as 5 for STS-B.',
  }),
  distance: defaulted(
    choice({
      euclidean: 'The length of the difference between the vectors.',
      cosine: 'One minus the cosine of the vectors.',
    }),
    'euclidean',
    { doc: 'The distance of the triplet loss.' },
  ),
  margin: defaulted(number({ min: 0, max: 1000 }), 5, {
    doc: 'The margin of the triplet loss; with the distance cosine, a value below 1 such as 0.5.',
  }),
  matryoshka_dims: defaulted(listOf(integer({ min: 1, max: 65536 }), 'a list of dimensions', { most: 32 }), [], {
    doc: 'Adds up the losses of the first so many numbers of each vector, so that shortened vectors serve too; name the full width among them.',
  }),
  pooling: defaulted(
    choice({
      auto: 'As the model folder says (1_Pooling); otherwise mean.',
      mean: 'The mean of the states of all tokens.',
      cls: 'The state of the first token.',
      max: 'The largest value of each feature over all tokens.',
      lasttoken: 'The state of the last token, as in Qwen3-Embedding.',
    }),
    'auto',
    { doc: 'How the states of the tokens become the vector of the text.' },
  ),
  query_prompt: optional(text({ maxLength: MAX_PROMPT }), {
    doc: 'Words before each anchor, such as those that the model card gives for queries; left out, none, as in the trainer of sentence-transformers.',
  }),
  document_prompt: optional(text({ maxLength: MAX_PROMPT }), { doc: 'Words before each positive and negative; left out, none.' }),
  normalize: optional(flag(), {
    doc: 'Whether vectors are brought to length 1; by default as the model folder says (2_Normalize), otherwise true.',
  }),
});
