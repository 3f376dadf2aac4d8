/** Rules about the length of a run and its learning rate. */
import type { Rule } from './rule.ts';

export const scheduleRules: readonly Rule[] = [
  {
    code: 'warmup-twice',
    severity: 'error',
    doc: 'Warm-up is given in updates or as a share, not as both.',
    reads: ['warmup_steps', 'warmup_ratio'],
    check: (_, given) =>
      given('warmup_steps') && given('warmup_ratio')
        ? {
            at: 'warmup_steps',
            on: 'key',
            message: "'warmup_steps' and 'warmup_ratio' exclude each other; keep one",
            suggestion: { kind: 'remove-key' },
          }
        : undefined,
  },
  {
    code: 'length-twice',
    severity: 'info',
    doc: 'max_steps decides the length of a run, whatever num_train_epochs says.',
    reads: ['max_steps', 'num_train_epochs'],
    check: ({ max_steps, num_train_epochs }, given) =>
      max_steps > 0 && given('num_train_epochs')
        ? {
            at: 'num_train_epochs',
            on: 'key',
            message: `'max_steps' (${max_steps}) decides when the run ends, not 'num_train_epochs' (${num_train_epochs})`,
          }
        : undefined,
  },
  {
    code: 'no-steps',
    severity: 'error',
    doc: 'A run has at least one update.',
    reads: ['max_steps'],
    check: ({ max_steps }) =>
      max_steps === 0
        ? {
            at: 'max_steps',
            message: "no update would be made; -1 leaves the length to 'num_train_epochs'",
            suggestion: { kind: 'replace-value', to: '-1' },
          }
        : undefined,
  },
  {
    code: 'warmup-covers-run',
    severity: 'warning',
    doc: 'A warm-up as long as the run never reaches the learning rate.',
    reads: ['warmup_steps', 'max_steps'],
    check: ({ warmup_steps = 0, max_steps }) =>
      max_steps > 0 && warmup_steps >= max_steps
        ? { at: 'warmup_steps', message: `the learning rate is never reached: ${warmup_steps} updates of warm-up in a run of ${max_steps}` }
        : undefined,
  },
  {
    code: 'floor-above-rate',
    severity: 'error',
    doc: 'The floor of a cosine schedule lies below the learning rate.',
    reads: ['min_learning_rate', 'learning_rate', 'lr_scheduler_type', 'method'],
    check: ({ min_learning_rate, learning_rate, lr_scheduler_type }) =>
      lr_scheduler_type === 'cosine' && min_learning_rate > learning_rate
        ? { at: 'min_learning_rate', message: `the floor (${min_learning_rate}) is above 'learning_rate' (${learning_rate})` }
        : undefined,
  },
  {
    code: 'high-learning-rate',
    severity: 'warning',
    doc: 'Adam diverges at a learning rate that suits only plain gradient descent.',
    reads: ['learning_rate', 'optim'],
    check: ({ learning_rate, optim }) =>
      learning_rate > 0.01 && optim !== 'sgd'
        ? { at: 'learning_rate', message: `${learning_rate} is very high for ${optim}; values from 1.0e-5 to 1.0e-3 are usual` }
        : undefined,
  },
];
