/** Rules about the length of a run and its learning rate. */
import { namesOf } from '../../../catalog/entries.ts';
import { exactNumber } from '../../text/format.ts';
import type { Recipe } from '../recipe-schema.ts';
import type { Finding, Rule } from './rule.ts';

type Kwargs = Recipe['lr_scheduler_kwargs'];
const argumentsOf: Readonly<Partial<Record<Recipe['lr_scheduler_type'], readonly (keyof Kwargs)[]>>> = {
  cosine: ['num_cycles'],
  cosine_with_restarts: ['num_cycles'],
  polynomial: ['power', 'lr_end'],
  inverse_sqrt: ['timescale'],
  warmup_stable_decay: ['num_decay_steps', 'num_stable_steps', 'min_lr_ratio', 'num_cycles'],
};
const WHOLE: readonly (keyof Kwargs)[] = ['num_decay_steps', 'num_stable_steps', 'timescale'];

function scheduleArgumentFinding({ lr_scheduler_kwargs: given, lr_scheduler_type: type, learning_rate }: Recipe): Finding | undefined {
  const at = 'lr_scheduler_kwargs';
  const own = argumentsOf[type] ?? [];
  const names = namesOf(given);
  const other = names.find(name => !own.includes(name));
  if (other !== undefined) return { at, message: `'${type}' takes ${own.length === 0 ? 'no arguments' : own.join(', ')}, not '${other}'` };
  const broken = names.find(name => WHOLE.includes(name) && !Number.isInteger(given[name]));
  if (broken !== undefined) return { at, message: `'${broken}' must be a whole number of updates, not ${given[broken]}` };
  const cycles = given.num_cycles ?? 1;
  if (type === 'cosine_with_restarts' && (cycles < 1 || !Number.isInteger(cycles)))
    return { at, message: `'num_cycles' must be a whole number ≥ 1, not ${cycles}` };
  if (type === 'inverse_sqrt' && given.timescale === 0) return { at, message: "'timescale' must be at least 1" };
  if (type === 'warmup_stable_decay' && given.num_decay_steps === undefined)
    return {
      at: 'lr_scheduler_type',
      message: "'warmup_stable_decay' needs 'lr_scheduler_kwargs: {num_decay_steps: …}', the number of updates of its decay",
    };
  const end = given.lr_end ?? POLYNOMIAL_END;
  if (type === 'polynomial' && end >= learning_rate)
    return { at, message: `'lr_end' (${exactNumber(end)}) must be below 'learning_rate' (${exactNumber(learning_rate)})` };
  return undefined;
}

/** The default in Transformers. */
const POLYNOMIAL_END = 1e-7;

export const scheduleRules: readonly Rule[] = [
  {
    code: 'warmup-twice',
    severity: 'error',
    doc: 'Give the warm-up in updates or as a share, not both.',
    reads: ['warmup_steps', 'warmup_ratio'],
    check: (_, given) =>
      given('warmup_steps') && given('warmup_ratio')
        ? {
            at: 'warmup_steps',
            on: 'key',
            message: "'warmup_steps' and 'warmup_ratio' are mutually exclusive; keep one",
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
            message: `'num_train_epochs' (${num_train_epochs}) has no effect, because 'max_steps' (${max_steps}) sets the length of the run`,
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
            message: "the run would make no update; use -1 to let 'num_train_epochs' set the length",
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
      max_steps > 0 && warmup_steps >= 1 && warmup_steps >= max_steps
        ? { at: 'warmup_steps', message: `the learning rate is never reached: the warm-up takes ${warmup_steps} of ${max_steps} updates` }
        : undefined,
  },
  {
    code: 'floor-above-rate',
    severity: 'error',
    doc: 'The floor of a cosine schedule is below the learning rate.',
    reads: ['min_learning_rate', 'learning_rate', 'lr_scheduler_type', 'method'],
    check: ({ min_learning_rate, learning_rate, lr_scheduler_type }) =>
      lr_scheduler_type === 'cosine' && min_learning_rate > learning_rate
        ? {
            at: 'min_learning_rate',
            message: `the floor (${exactNumber(min_learning_rate)}) is above 'learning_rate' (${exactNumber(learning_rate)})`,
          }
        : undefined,
  },
  {
    code: 'schedule-arguments',
    severity: 'error',
    doc: 'Each schedule takes arguments of its own, by Transformers’ names; warmup_stable_decay needs num_decay_steps.',
    reads: ['lr_scheduler_kwargs', 'lr_scheduler_type', 'learning_rate', 'method'],
    check: recipe => scheduleArgumentFinding(recipe),
  },
  {
    code: 'high-learning-rate',
    severity: 'warning',
    doc: 'Adam diverges at learning rates meant for plain gradient descent.',
    reads: ['learning_rate', 'optim'],
    check: ({ learning_rate, optim }) =>
      learning_rate > 0.01 && optim !== 'sgd'
        ? { at: 'learning_rate', message: `${learning_rate} is very high for ${optim}; typical values are 1.0e-5 to 1.0e-3` }
        : undefined,
  },
];
