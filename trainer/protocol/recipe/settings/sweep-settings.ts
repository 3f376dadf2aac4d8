/** Settings of a sweep: the values to try, their order, and when to stop runs early. */
import { isOneOf, namesOf } from '../../../catalog/entries.ts';
import { type Given, group, optional, type Setting } from '../setting.ts';
import { sweptSettings } from '../swept-values.ts';
import { choice, integer } from '../value-type.ts';
import { MAX_SEED } from './model-settings.ts';
import { isLower, metricChoices } from './run-settings.ts';

/** Maximum number of runs in a sweep: more folders are slow to list and read. */
export const MAX_SWEEP_RUNS = 10_000;

/** A default that applies only to a recipe with a sweep. */
const inSweep = <T>(text: string, value: (given: Given) => T | undefined) => ({
  text,
  value: (given: Given): T | undefined => (given['sweep.over'] === undefined ? undefined : value(given)),
});

/** Creates the group. @param settings the settings that can be swept, by their dotted names */
export const sweepGroup = (settings: Readonly<Record<string, Setting>>) =>
  group('A sweep: `rowtune sweep` trains the recipe once for each choice of values, and compares the runs.', {
    over: optional(sweptSettings(settings), {
      doc: 'The settings to try, by their own names, each with a list of values, a range {min, max, scale, count}, or {count} for seeds.',
    }),
    strategy: optional(
      choice({
        grid: 'Every combination of the values.',
        random: 'Combinations drawn at random; all of them if there are no more than max_runs.',
        halving:
          'Draws as random does, but trains every run only a little at first and continues the best ones (asynchronous successive halving, ASHA).',
      }),
      { doc: 'How runs are chosen from the values, and whether losers are stopped early.' },
      inSweep("'grid'", () => 'grid' as const),
    ),
    max_runs: optional(
      integer({ min: 1, max: MAX_SWEEP_RUNS }),
      { doc: 'Maximum number of runs.' },
      inSweep('all combinations for grid, otherwise 16', given => (given['sweep.strategy'] === 'grid' ? undefined : 16)),
    ),
    metric: optional(
      choice(metricChoices),
      { doc: 'The held-out metric that compares runs.' },
      inSweep('the value of metric_for_best_model', ({ metric_for_best_model: metric }) =>
        isOneOf(namesOf(metricChoices), metric) ? metric : undefined,
      ),
    ),
    mode: optional(
      choice({ min: 'The lowest value is the best.', max: 'The highest value is the best.' }),
      { doc: 'Whether low or high values of the metric are better.' },
      inSweep("'min' for loss and teacher_divergence, otherwise 'max'", given =>
        isLower(given['sweep.metric']) ? ('min' as const) : ('max' as const),
      ),
    ),
    reduction_factor: optional(
      integer({ min: 2, max: 100 }),
      { doc: 'With halving, one in this many runs continues, and for this many times as long.' },
      inSweep('3', () => 3),
    ),
    min_evaluations: optional(
      integer({ min: 1, max: 1_000_000 }),
      { doc: 'With halving, the number of evaluations after which runs are compared for the first time.' },
      inSweep('1', () => 1),
    ),
    parallel: optional(integer({ min: 1, max: 64 }), {
      doc: 'The number of runs at a time; by default as many as fit in memory, with two CPU cores each, or four on a GPU.',
      memory: 'Every run at a time holds its own model.',
    }),
    seed: optional(
      integer({ min: 0, max: MAX_SEED }),
      { doc: 'The seed of the drawn values.' },
      inSweep('the seed of the run', given => Number(given.seed)),
    ),
  });
