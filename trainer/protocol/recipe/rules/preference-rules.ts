/** Rules about compared or judged answers: the loss, its reference, and the batch that its reference point comes from. */
import { methodCatalog } from '../../../catalog/methods.ts';
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import { lossesOf, preferenceLosses } from '../../../catalog/preference-losses.ts';
import { partsOfBatch } from '../global-batch.ts';
import { readsBase } from '../live-reference.ts';
import type { Rule } from './rule.ts';

export const preferenceRules: readonly Rule[] = [
  {
    code: 'loss-for-task',
    severity: 'error',
    doc: 'Pairs of answers and judged answers have losses of their own.',
    reads: ['task', 'preference.loss_type'],
    check: ({ task, preference: { loss_type: type } }) => {
      const { hasLossTypes, answers } = objectiveCatalog[task].compares ?? {};
      if (!hasLossTypes || answers === undefined || preferenceLosses[type].answers === answers) return undefined;
      const losses = lossesOf(answers);
      return {
        at: 'preference.loss_type',
        message: `'${type}' is a loss of ${answers === 'pairs' ? 'judged answers' : 'pairs'}; task '${task}' has ${losses.join(', ')}`,
        suggestion: { kind: 'replace-value', to: losses[0] ?? '' },
      };
    },
  },
  {
    code: 'live-reference',
    severity: 'error',
    doc: 'A live reference is the base that the run holds, which some methods change as a whole.',
    reads: ['task', 'preference.reference', 'method'],
    check: ({ task, preference, method }) => {
      const { noLiveReference } = methodCatalog[method];
      return noLiveReference !== undefined && readsBase({ task, preference })
        ? {
            at: 'preference.reference',
            message: `${method} ${noLiveReference}; use preference.reference: cached, or a method that trains few parameters`,
            suggestion: { kind: 'replace-value', to: 'cached' },
          }
        : undefined;
    },
  },
  {
    code: 'repeated-reference',
    severity: 'info',
    doc: 'A live reference is computed again in every epoch.',
    reads: ['task', 'preference.reference', 'max_steps', 'num_train_epochs'],
    check: ({ task, preference, max_steps: steps, num_train_epochs: epochs }) =>
      readsBase({ task, preference }) && steps <= 0 && epochs > 1
        ? {
            at: 'preference.reference',
            message: `in ${epochs} epochs, the base model reads each answer ${Math.ceil(epochs)} times; with preference.reference: cached, it reads each once`,
            suggestion: { kind: 'replace-value', to: 'cached' },
          }
        : undefined,
  },
  {
    code: 'small-reference-batch',
    severity: 'warning',
    doc: 'The reference point of judged answers is a mean over a batch.',
    reads: ['task', 'preference.loss_type', 'per_device_train_batch_size', 'processes', 'devices'],
    check: ({ task, preference: { loss_type: type }, per_device_train_batch_size: size, processes, devices }) =>
      objectiveCatalog[task].compares?.answers === 'judged' &&
      preferenceLosses[type].hasReferencePoint &&
      size * partsOfBatch({ processes, devices }) === 1
        ? {
            at: 'per_device_train_batch_size',
            message:
              'the reference point is estimated from a batch of one answer; use at least 4, or preference.loss_type: apo_zero_unpaired',
          }
        : undefined,
  },
];
