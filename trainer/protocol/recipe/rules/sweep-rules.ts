/** Rules about sweeps. */
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import type { Recipe } from '../recipe-schema.ts';
import { isLower } from '../settings/run-settings.ts';
import { MAX_SWEEP_RUNS } from '../settings/sweep-settings.ts';
import { isRange, type SweptSettings, type SweptValues } from '../swept-values.ts';
import type { Rule } from './rule.ts';

const PARTS = ['strategy', 'max_runs', 'metric', 'mode', 'reduction_factor', 'min_evaluations', 'parallel', 'seed'] as const;

/** The number of values; undefined for a range without `count`. */
const countOf = (values: SweptValues): number | undefined =>
  Array.isArray(values) ? values.length : 'count' in values ? values.count : undefined;

/** The number of combinations; undefined if a range has no `count`. */
const combinationsOf = (over: SweptSettings): number | undefined =>
  Object.values(over).reduce<number | undefined>((product, values) => {
    const count = countOf(values);
    return product === undefined || count === undefined ? undefined : product * count;
  }, 1);

const sweeps = (over: SweptSettings | undefined, name: string): boolean => over !== undefined && Object.hasOwn(over, name);

const listed = (over: SweptSettings | undefined, name: string): readonly unknown[] => {
  const values = over?.[name];
  return Array.isArray(values) ? values : [];
};

/** The number of epochs of the shortest run. */
function fewestEpochs({ num_train_epochs, sweep: { over } }: Recipe): number {
  const values = over?.num_train_epochs;
  if (values === undefined) return num_train_epochs;
  if (isRange(values)) return values.min;
  return Array.isArray(values) ? Math.min(...values.map(Number)) : num_train_epochs;
}

export const sweepRules: readonly Rule[] = [
  {
    code: 'sweep-without-settings',
    severity: 'error',
    doc: 'A sweep names the settings that it tries.',
    reads: ['sweep.over', ...PARTS.map(part => `sweep.${part}` as const)],
    check: ({ sweep: { over } }, given) => {
      const first = PARTS.find(part => given(`sweep.${part}`));
      return over === undefined && first !== undefined
        ? {
            at: `sweep.${first}`,
            on: 'key',
            message: "the sweep tries nothing: set 'sweep.over', for example {learning_rate: [1.0e-5, 1.0e-4]}",
          }
        : undefined;
    },
  },
  {
    code: 'sweep-without-evaluation',
    severity: 'error',
    doc: 'A sweep compares runs by held-out data.',
    reads: ['sweep.over', 'eval_strategy', 'data.eval', 'val_size'],
    check: ({ sweep: { over }, eval_strategy }) =>
      over !== undefined && eval_strategy === 'no'
        ? {
            at: 'sweep.over',
            on: 'key',
            message: "a sweep needs evaluations to compare its runs: set 'data.eval' or 'val_size', and 'eval_strategy'",
          }
        : undefined,
  },
  {
    code: 'sweep-metric-of-other-task',
    severity: 'error',
    doc: "The metric of a sweep fits the task, like 'metric_for_best_model'.",
    reads: ['sweep.over', 'sweep.metric', 'metric_for_best_model', 'task'],
    check: ({ sweep: { metric }, task }, given) =>
      metric === undefined || !given('sweep.metric') || objectiveCatalog[task].metrics.includes(metric)
        ? undefined
        : {
            at: 'sweep.metric',
            message: `'${metric}' is not a metric of ${task}; use ${objectiveCatalog[task].metrics.join(', ')}`,
            suggestion: { kind: 'replace-value', to: 'loss' },
          },
  },
  {
    code: 'sweep-mode',
    severity: 'warning',
    doc: 'The best run has the lowest loss or divergence, or the highest value of any other metric.',
    reads: ['sweep.over', 'sweep.metric', 'sweep.mode', 'metric_for_best_model'],
    check: ({ sweep: { metric, mode } }) => {
      const usual = isLower(metric) ? 'min' : 'max';
      return metric === undefined || mode === usual
        ? undefined
        : {
            at: 'sweep.mode',
            message: `'mode: ${mode}' looks for the worst run, because a ${isLower(metric) ? 'lower' : 'higher'} '${metric}' is better`,
            suggestion: { kind: 'replace-value', to: usual },
          };
    },
  },
  {
    code: 'sweep-open-range',
    severity: 'error',
    doc: 'A grid needs points: a range has a count.',
    reads: ['sweep.over', 'sweep.strategy'],
    check: ({ sweep: { over = {}, strategy } }) => {
      const open = Object.entries(over).find(([, values]) => countOf(values) === undefined);
      return strategy === 'grid' && open !== undefined
        ? {
            at: 'sweep.over',
            on: 'key',
            message: `a grid needs the number of points of '${open[0]}': add 'count' to its range, or use strategy: random`,
          }
        : undefined;
    },
  },
  {
    code: 'sweep-too-large',
    severity: 'error',
    doc: 'A grid has no more combinations than max_runs.',
    reads: ['sweep.over', 'sweep.strategy', 'sweep.max_runs'],
    check: ({ sweep: { over = {}, strategy, max_runs = MAX_SWEEP_RUNS } }) => {
      const count = combinationsOf(over);
      return strategy === 'grid' && count !== undefined && count > max_runs
        ? {
            at: 'sweep.over',
            on: 'key',
            message: `the grid has ${count} combinations, more than max_runs (${max_runs}): use fewer values, or strategy: random`,
          }
        : undefined;
    },
  },
  {
    code: 'sweep-few-evaluations',
    severity: 'warning',
    doc: 'Halving stops losers between evaluations, so a run needs several.',
    reads: [
      'sweep.over',
      'sweep.strategy',
      'sweep.min_evaluations',
      'eval_strategy',
      'data.eval',
      'val_size',
      'num_train_epochs',
      'max_steps',
    ],
    check: recipe => {
      const { strategy, min_evaluations = 1 } = recipe.sweep;
      const epochs = fewestEpochs(recipe);
      return strategy === 'halving' && recipe.eval_strategy === 'epoch' && recipe.max_steps < 0 && epochs <= min_evaluations
        ? {
            at: 'sweep.strategy',
            message: `a run of ${epochs} epochs ends before halving can stop it: set 'eval_strategy: steps' and 'eval_steps', for example to 0.1`,
          }
        : undefined;
    },
  },
  {
    code: 'sweep-measured-dtype',
    severity: 'error',
    doc: 'All runs of a sweep compute in a stated number format.',
    reads: ['sweep.over', 'dtype'],
    check: ({ sweep: { over }, dtype }) => {
      if (over === undefined) return undefined;
      const message = "'dtype: auto' is decided by a measurement, which may differ between the runs of a sweep: write float32 or bfloat16";
      if (listed(over, 'dtype').includes('auto')) return { at: 'sweep.over', on: 'key', message };
      return dtype === 'auto' && !sweeps(over, 'dtype')
        ? { at: 'dtype', message, suggestion: { kind: 'replace-value', to: 'float32' } }
        : undefined;
    },
  },
  {
    code: 'sweep-moves-held-out',
    severity: 'warning',
    doc: 'Runs with other seeds are measured on the same held-out samples.',
    reads: ['sweep.over', 'val_size', 'data.eval', 'data.eval_max_samples'],
    check: ({ sweep: { over }, val_size, data }) => {
      const drawn =
        data.eval.length === 0 && val_size > 0 ? 'val_size' : data.eval_max_samples === undefined ? undefined : 'data.eval_max_samples';
      return sweeps(over, 'seed') && drawn !== undefined
        ? {
            at: 'sweep.over',
            on: 'key',
            message: `'seed' also draws the held-out samples of '${drawn}', so runs are measured on different data: use a file as 'data.eval', or sweep 'data_seed'`,
          }
        : undefined;
    },
  },
];
