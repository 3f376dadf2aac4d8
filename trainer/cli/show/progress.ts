/** Shows the progress of a job: a bar in a terminal, a plain line every few seconds elsewhere. Always on stderr. */
import { SingleBar } from 'cli-progress';
import { RATED_AFTER_S } from '../../job/job.ts';
import type { WorkerEvent } from '../../protocol/messages/job-messages.ts';
import { amountText } from '../../protocol/messages/job-stage.ts';
import { byteSize, compact, duration, grouped } from '../../protocol/text/format.ts';
import { formatOf } from '../../protocol/text/metric-text.ts';

export type ProgressEvent = Extract<WorkerEvent, { type: 'progress' }>;

export interface ProgressView {
  update(event: ProgressEvent): void;
  /** Updates the metrics of the run that are shown with the progress. */
  metrics(values: Readonly<Record<string, number>>): void;
  /** Runs `write` while the bar is hidden. */
  aside(write: () => void): void;
  /** Removes the display. */
  end(): void;
}

export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Milliseconds between plain lines: frequent enough to show activity, rare enough for a log. */
const LINE_INTERVAL_MS = 5000;
/** The metrics that are shown, in this order. */
const SHOWN_METRICS = ['loss', 'eval_loss', 'eval_accuracy'];

export const progressView = (stream: NodeJS.WriteStream): ProgressView => (stream.isTTY ? barView(stream) : lineView(stream));

/** The rate and the remaining time, measured here if the event does not contain them. */
class Pace {
  private phase = '';
  private startedMs = 0;
  private startedAt = 0;

  of({ phase, done, total, ratePerSecond, secondsLeft }: ProgressEvent, nowMs: number): { rate?: number; left?: number } {
    if (phase !== this.phase || done < this.startedAt) {
      this.phase = phase;
      this.startedMs = nowMs;
      this.startedAt = done;
    }
    const seconds = (nowMs - this.startedMs) / 1000;
    const rate = ratePerSecond ?? (done > this.startedAt && seconds >= RATED_AFTER_S ? (done - this.startedAt) / seconds : undefined);
    return { rate, left: secondsLeft ?? (rate ? (total - done) / rate : undefined) };
  }
}

const isBytes = (unit: string): boolean => unit === 'bytes';

const amounts = ({ done, total, unit }: ProgressEvent): string =>
  isBytes(unit) ? amountText({ done, total, unit }) : `${grouped(done)}/${grouped(total)} ${unit}`;

function rateText(rate: number | undefined, unit: string): string {
  if (rate === undefined) return '';
  if (isBytes(unit)) return `${byteSize(rate)}/s`;
  const singular = unit.replace(/(ch|sh|x)es$|s$/, '$1');
  return rate >= 1 || rate === 0 ? `${compact(rate)} ${unit}/s` : `${compact(1 / rate)} s per ${singular}`;
}

/** One line for an event: "train 12/120 steps, loss 0.52, 1.6 s per step, 2 min 54 s left". */
export function progressLine(event: ProgressEvent, pace: { rate?: number; left?: number }, metrics: string): string {
  const left = pace.left === undefined || event.done >= event.total ? '' : `${duration(pace.left)} left`;
  return [`${event.phase} ${amounts(event)}`, event.message ?? metrics, rateText(pace.rate, event.unit), left].filter(Boolean).join(', ');
}

/** The newest metrics, and the step of the newest evaluation among them. */
interface Newest {
  readonly values: Readonly<Record<string, number>>;
  readonly evaluatedAt?: number | undefined;
}

const NONE: Newest = { values: {} };

const withNewer = ({ values, evaluatedAt }: Newest, newer: Readonly<Record<string, number>>): Newest => ({
  values: { ...values, ...newer },
  evaluatedAt: newer.eval_loss === undefined ? evaluatedAt : newer.step,
});

/**
 * The metrics as text, shown only with the progress of training: another phase would repeat old values. Metrics of an older evaluation name
 * its step.
 */
function metricsText({ phase, done }: ProgressEvent, { values, evaluatedAt = done }: Newest): string {
  if (phase !== 'train') return '';
  const shown = SHOWN_METRICS.flatMap(name => {
    const value = values[name];
    return value === undefined ? [] : [`${name} ${formatOf(name)(value)}`];
  }).join(', ');
  return evaluatedAt < done ? `${shown} (at step ${grouped(evaluatedAt)})` : shown;
}

/** A view for logs and pipes: at most one line every few seconds, and one at the end of each phase. */
export function lineView(stream: ProgressStream): ProgressView {
  const pace = new Pace();
  let metrics = NONE;
  /** The last time of each phase, and of its end, so that evaluations after every epoch neither flood a log nor silence the training. */
  const shownMs = new Map<string, number>();
  const isDue = (key: string, now: number): boolean => now - (shownMs.get(key) ?? Number.NEGATIVE_INFINITY) >= LINE_INTERVAL_MS;
  return {
    update: event => {
      const now = Date.now();
      const state = pace.of(event, now);
      const end = event.done >= event.total ? `${event.phase} end` : undefined;
      if (!isDue(event.phase, now) && !(end !== undefined && isDue(end, now))) return;
      shownMs.set(event.phase, now);
      if (end !== undefined) shownMs.set(end, now);
      stream.write(`${progressLine(event, state, metricsText(event, metrics))}\n`);
    },
    metrics: values => {
      metrics = withNewer(metrics, values);
    },
    aside: write => write(),
    end: () => {
      metrics = NONE;
    },
  };
}

/** A view for a terminal. */
function barView(stream: NodeJS.WriteStream): ProgressView {
  const pace = new Pace();
  let metrics = NONE;
  let bar: SingleBar | undefined;
  let last: ProgressEvent | undefined;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const show = (event: ProgressEvent): void => {
    const text = progressLine(event, pace.of(event, Date.now()), metricsText(event, metrics));
    if (bar === undefined) {
      bar = new SingleBar({ stream, format: '{bar} {text}', barsize: 20, clearOnComplete: true, hideCursor: true, gracefulExit: false });
      bar.start(Math.max(1, event.total), event.done, { text });
    } else {
      bar.setTotal(Math.max(1, event.total));
      bar.update(event.done, { text });
    }
  };
  return {
    update: event => {
      if (last !== undefined && last.phase !== event.phase) stop();
      last = event;
      show(event);
    },
    metrics: values => {
      metrics = withNewer(metrics, values);
    },
    aside: write => {
      const active = bar !== undefined;
      stop();
      write();
      if (active && last !== undefined && last.done < last.total) show(last);
    },
    end: () => {
      stop();
      last = undefined;
      metrics = NONE;
    },
  };
}
