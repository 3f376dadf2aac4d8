/** Rules about answers that were compared or judged: the loss, and the batch that its reference point comes from. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { lossesOf, preferenceLosses } from '../../catalog/preference-losses.ts';
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
    code: 'small-reference-batch',
    severity: 'warning',
    doc: 'The reference point of judged answers is a mean over a batch.',
    reads: ['task', 'preference.loss_type', 'per_device_train_batch_size', 'processes'],
    check: ({ task, preference: { loss_type: type }, per_device_train_batch_size: size, processes }) =>
      objectiveCatalog[task].compares?.answers === 'judged' && preferenceLosses[type].hasReferencePoint && size * processes === 1
        ? {
            at: 'per_device_train_batch_size',
            message:
              'the reference point is estimated from a batch of one answer; use at least 4, or preference.loss_type: apo_zero_unpaired',
          }
        : undefined,
  },
];
