/** The interface of a tracker: another destination for the lines of metrics.jsonl, whose failure does not harm the run. */
import type { TrackerSettings } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { MetricsLine } from '../metrics-file.ts';

/** How a run ended, or the part of it that ran until it was stopped. */
export type TrackedEnd = 'finished' | 'stopped' | 'failed';

/** A tracker. Each function throws once the tracker has failed permanently. Only `end` waits for a server. */
export interface MetricsTracker {
  append(line: MetricsLine): Promise<void>;
  end?(how: TrackedEnd): Promise<void>;
}

export interface TrackedRun {
  readonly runDir: string;
  readonly recipe: Recipe;
  /** The lines of the run so far. */
  readonly lines: readonly MetricsLine[];
  /** Addresses and names from the environment. */
  readonly settings: TrackerSettings | undefined;
}

/** Thrown if a tracker fails. */
export class TrackerError extends Error {
  override name = 'TrackerError';
  /** The code in the server's answer, if there is one. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** @throws TrackerError for a job that was started without these settings */
export function settingsOf({ settings }: Pick<TrackedRun, 'settings'>): TrackerSettings {
  if (settings === undefined) throw new TrackerError('the process that started the run did not pass the addresses of trackers');
  return settings;
}

type Metrics = readonly (readonly [name: string, value: number])[];

/** The metrics of a line, in order, without its step; without null, which stands for a diverged loss of an earlier part. */
export const metricsOf = (line: MetricsLine): Metrics =>
  Object.entries(line).filter(([name, value]) => name !== 'step' && typeof value === 'number');

/** The metrics that JSON can represent. */
export const finiteMetricsOf = (line: MetricsLine): Metrics => metricsOf(line).filter(([, value]) => Number.isFinite(value));

/** The name that the Trainer of Transformers uses for TensorBoard and Trackio: train/loss, eval/accuracy. */
export const tagOf = (name: string): string => (name.startsWith('eval_') ? `eval/${name.slice('eval_'.length)}` : `train/${name}`);
