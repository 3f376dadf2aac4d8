/** Rules about embeddings: where the wrong answers of an anchor come from. */

import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Recipe } from '../recipe-schema.ts';
import type { Rule } from './rule.ts';

/** Whether the positives of a batch are negatives of its other anchors. */
export const hasNegativesOfBatch = ({ loss_type: type }: Recipe['embedding']): boolean =>
  type === 'multiple_negatives' || type === 'symmetric';

const takesNegativesFromBatch = ({ task, embedding }: Recipe): boolean =>
  objectiveCatalog[task].embeds === true && hasNegativesOfBatch(embedding);

export const embeddingRules: readonly Rule[] = [
  {
    code: 'batch-without-negatives',
    severity: 'error',
    doc: 'A batch has wrong answers: other samples, or hard negatives.',
    reads: ['task', 'embedding.loss_type', 'embedding.negatives', 'per_device_train_batch_size'],
    check: recipe =>
      takesNegativesFromBatch(recipe) && recipe.per_device_train_batch_size === 1 && recipe.embedding.negatives === 0
        ? { at: 'per_device_train_batch_size', message: 'a batch of one sample has no negatives, so there is nothing to learn from it' }
        : undefined,
  },
  {
    code: 'negatives-of-accumulation',
    severity: 'info',
    doc: 'Negatives come from one batch, not from those that are accumulated.',
    reads: ['task', 'embedding.loss_type', 'gradient_accumulation_steps', 'per_device_train_batch_size'],
    check: recipe =>
      takesNegativesFromBatch(recipe) && recipe.gradient_accumulation_steps > 1
        ? {
            at: 'gradient_accumulation_steps',
            message: `negatives come from one batch (${recipe.per_device_train_batch_size} samples); accumulation does not add any`,
          }
        : undefined,
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
