/** The interface of a tracker: another place for the lines of metrics.jsonl, which may fail without harm to the run. */
import type { TrackerSettings } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { MetricsLine } from '../metrics-file.ts';

/** The end of a run, or of the part of it that ran until it was stopped. */
export type TrackedEnd = 'finished' | 'stopped' | 'failed';

/** Each function throws where the tracker has failed for good. None waits for a server, except `end`. */
export interface MetricsTracker {
  append(line: MetricsLine): Promise<void>;
  end?(how: TrackedEnd): Promise<void>;
}

export interface TrackedRun {
  readonly runDir: string;
  readonly recipe: Recipe;
  /** The lines that the run has so far. */
  readonly lines: readonly MetricsLine[];
  /** Addresses and names from the environment. */
  readonly settings: TrackerSettings | undefined;
}

/** The failure of a tracker. */
export class TrackerError extends Error {
  override name = 'TrackerError';
  /** The code in the answer of a server, if there is one. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** @throws TrackerError for a job that was started without them */
export function settingsOf({ settings }: Pick<TrackedRun, 'settings'>): TrackerSettings {
  if (settings === undefined) throw new TrackerError('the process that started the run did not pass the addresses of trackers');
  return settings;
}

type Metrics = readonly (readonly [name: string, value: number])[];

/** The metrics of a line, in its order: `step` is its place, and a diverged loss of an earlier part is null. */
export const metricsOf = (line: MetricsLine): Metrics =>
  Object.entries(line).filter(([name, value]) => name !== 'step' && typeof value === 'number');

/** Those that JSON can hold. */
export const finiteMetricsOf = (line: MetricsLine): Metrics => metricsOf(line).filter(([, value]) => Number.isFinite(value));

/** Named as the Trainer of Transformers names them for TensorBoard and Trackio: train/loss, eval/accuracy. */
export const tagOf = (name: string): string => (name.startsWith('eval_') ? `eval/${name.slice('eval_'.length)}` : `train/${name}`);
