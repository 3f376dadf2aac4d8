/** A sweep as seen from outside: the files in its folder, and the state of its runs. */
import { exactNumber } from '../text/format.ts';

/** The files of a sweep folder; the folders next to them are runs. */
export const SWEEP_FILES = {
  /** The runs and everything that decides their order; never changes. */
  plan: 'sweep.json',
  /** One line for each part of a run that was started, with the results on which it was chosen. */
  decisions: 'decisions.jsonl',
  /** The runs that cannot be completed, with the reasons. */
  failures: 'failures.jsonl',
  /** One line per run, best first. */
  table: 'table.csv',
  /** The result of a finished sweep. */
  result: 'result.json',
  log: 'log.txt',
  /** With several workers: all decisions and reports, one file each. */
  journal: 'journal',
  /** With several workers: a file for each, rewritten every few seconds. */
  workers: 'workers',
} as const;

export type SweepStrategy = 'grid' | 'random' | 'halving';

/** The state of a run; `paused` means that it can continue, but others have been better so far. */
export type SweepRunState = 'waiting' | 'running' | 'paused' | 'finished' | 'failed';

export interface SweepRun {
  /** The name of its folder: 001, 002 … */
  readonly id: string;
  readonly runDir: string;
  /** The swept settings by their dotted names. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly state: SweepRunState;
  /** The metric of the sweep in the newest evaluation. */
  readonly value?: number;
  readonly evaluations: number;
  readonly step: number;
  readonly totalSteps: number;
  /** The training loss. */
  readonly loss?: number;
  readonly failure?: string;
  /** With several workers: the machine that trains it or trained it last. */
  readonly node?: string;
  /** With several workers: the log of that worker, if it has a file. */
  readonly log?: string;
}

export interface SweepStatus {
  readonly sweepDir: string;
  readonly name: string;
  readonly state: 'running' | 'stopped' | 'finished';
  readonly strategy: SweepStrategy;
  readonly metric: string;
  readonly mode: 'min' | 'max';
  readonly parallel: number;
  /** The runs, best first: finished runs, then those with the most evaluations. */
  readonly runs: readonly SweepRun[];
  /** The id of the best finished run. */
  readonly best?: string;
}

/** The name of the metric in metrics.jsonl. */
export const metricKey = (metric: string): string => `eval_${metric}`;

/** A value of a setting as text: 1e-4, lora, ["q_proj","v_proj"]. */
export const settingValueText = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' ? exactNumber(value) : JSON.stringify(value);

/** "learning_rate 1e-4, r 16" */
export const describeSettings = (settings: Readonly<Record<string, unknown>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} ${settingValueText(value)}`)
    .join(', ');

/** The runs as CSV (RFC 4180), one line each, best first. */
export function sweepCsv({ runs, metric }: Pick<SweepStatus, 'runs' | 'metric'>): string {
  const names = [...new Set(runs.flatMap(({ settings }) => Object.keys(settings)))];
  const header = ['run', ...names, metricKey(metric), 'state', 'evaluations', 'step', 'total_steps', 'loss', 'folder'];
  const lines = runs.map(run => [
    run.id,
    ...names.map(name => settingValueText(run.settings[name] ?? '')),
    run.value ?? '',
    run.state,
    run.evaluations,
    run.step,
    run.totalSteps,
    run.loss ?? '',
    run.runDir,
  ]);
  return [header, ...lines].map(cells => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
