/** Rules about embeddings: the source of an anchor's negatives. */

import { objectiveCatalog } from '../../../catalog/objectives.ts';
import { partsOfBatch } from '../global-batch.ts';
import type { Recipe } from '../recipe-schema.ts';
import type { Rule } from './rule.ts';

/** True if the positives of a batch are negatives for its other anchors. */
export const hasNegativesOfBatch = ({ loss_type: type }: Recipe['embedding']): boolean =>
  type === 'multiple_negatives' || type === 'symmetric';

/** True if changing the batch size would change the loss. */
export const takesNegativesFromBatch = ({ task, embedding }: Recipe): boolean =>
  objectiveCatalog[task].embeds === true && hasNegativesOfBatch(embedding);

/** The number of samples that are compared with each other: the batches of all processes or devices are combined. */
const comparedSamples = (recipe: Recipe): number => recipe.per_device_train_batch_size * partsOfBatch(recipe);

export const embeddingRules: readonly Rule[] = [
  {
    code: 'batch-without-negatives',
    severity: 'error',
    doc: 'A batch has wrong answers: other samples, or hard negatives.',
    reads: ['task', 'embedding.loss_type', 'embedding.negatives', 'per_device_train_batch_size', 'processes', 'devices'],
    check: recipe =>
      takesNegativesFromBatch(recipe) && comparedSamples(recipe) === 1 && recipe.embedding.negatives === 0
        ? { at: 'per_device_train_batch_size', message: 'a batch of one sample has no negatives, so there is nothing to learn from it' }
        : undefined,
  },
  {
    code: 'negatives-of-accumulation',
    severity: 'info',
    doc: 'Negatives come from one batch, not from those that are accumulated.',
    reads: ['task', 'embedding.loss_type', 'gradient_accumulation_steps', 'per_device_train_batch_size', 'processes', 'devices'],
    check: recipe =>
      takesNegativesFromBatch(recipe) && recipe.gradient_accumulation_steps > 1
        ? {
            at: 'gradient_accumulation_steps',
            message: `negatives come from one batch (${comparedSamples(recipe)} samples); accumulation does not add any. For more of them, raise per_device_train_batch_size and set embedding.mini_batch_size, which bounds the memory`,
          }
        : undefined,
  },
  {
    code: 'mini-batches-without-use',
    severity: 'warning',
    doc: 'Mini-batches are smaller than a batch whose samples are compared with each other; otherwise each text passes through the model twice for nothing.',
    reads: ['task', 'embedding.loss_type', 'embedding.mini_batch_size', 'per_device_train_batch_size'],
    check: ({ task, embedding, per_device_train_batch_size: batch }) => {
      const { mini_batch_size: miniBatch, loss_type: type } = embedding;
      if (objectiveCatalog[task].embeds !== true || miniBatch === undefined) return undefined;
      const twice = 'each text passes through the model twice';
      if (!hasNegativesOfBatch(embedding))
        return {
          at: 'embedding.mini_batch_size',
          message: `${type} compares no samples of a batch with each other, and ${twice}; with a smaller batch, gradient_accumulation_steps gives the same in half the time`,
          suggestion: { kind: 'remove-key' },
        };
      return miniBatch < batch
        ? undefined
        : {
            at: 'embedding.mini_batch_size',
            message: `a batch has ${batch} samples, so it is a single mini-batch, and ${twice}; raise per_device_train_batch_size`,
            suggestion: { kind: 'remove-key' },
          };
    },
  },
  {
    code: 'dims-repeat',
    severity: 'error',
    doc: 'Each length of shortened vectors is listed once.',
    reads: ['embedding.matryoshka_dims'],
    check: ({ embedding: { matryoshka_dims: dims } }) => {
      const repeated = dims.find((dim, at) => dims.indexOf(dim) !== at);
      return repeated === undefined ? undefined : { at: 'embedding.matryoshka_dims', on: 'key', message: `${repeated} is listed twice` };
    },
  },
];
