/** The metrics of several runs side by side. Pure; used by the table and the export. */
import type { Cell } from '../shared/csv.ts';
import type { RunModel } from '../shared/run-model.ts';

type Numbers = Pick<RunModel, 'history'>;

const LEADING = ['step', 'epoch', 'loss', 'eval_loss'];

/** Names of the metrics of all runs, most useful first. */
export function metricNames(runs: readonly Numbers[]): string[] {
  const all = new Set(runs.flatMap(({ history }) => history.names));
  return [...new Set([...LEADING.filter(name => all.has(name)), ...all])];
}

export interface ValuesByStep {
  /** Steps at which any run has a value, ascending. */
  readonly steps: readonly number[];
  /** Values by step, one map per run. */
  readonly columns: readonly ReadonlyMap<number, number>[];
}

export function valuesByStep(runs: readonly Numbers[], name: string): ValuesByStep {
  const columns = runs.map(({ history }) => {
    const { x, y } = history.points(name);
    return new Map(Array.from(x, (step, i) => [step, y[i] ?? Number.NaN]));
  });
  const steps = [...new Set(columns.flatMap(column => [...column.keys()]))].sort((a, b) => a - b);
  return { steps, columns };
}

/** Returns one row per line of metrics of each run, below a header of names. */
export function metricRows(runs: readonly { readonly runDir: string; readonly model: Pick<RunModel, 'name' | 'history'> }[]): Cell[][] {
  const names = metricNames(runs.map(({ model }) => model));
  const lines = runs.flatMap(({ runDir, model: { name, history } }) =>
    Array.from({ length: history.length }, (_, i) => {
      const row = history.row(i);
      return [name, runDir, ...names.map(column => row[column])];
    }),
  );
  return [['run', 'folder', ...names], ...lines];
}
