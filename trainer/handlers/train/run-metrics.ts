/** Reports the metrics of a run: each line goes to metrics.jsonl, to listeners, and, as the newest values, to state.json. */
import path from 'node:path';
import { type TrackerName, trackerCatalog } from '../../catalog/trackers.ts';
import { writeJson } from '../../files/durable-file.ts';
import { type Evaluation, evaluationMetrics } from '../../job/evaluate.ts';
import type { JobScope } from '../../job/job-scope.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { appendMetrics, type MetricsLine } from '../../run/metrics-file.ts';
import type { RunState, StateKeeper } from '../../run/run-state.ts';
import type { MetricsTracker, TrackedEnd, TrackedRun } from '../../run/trackers/tracker.ts';
import { trackers } from '../../run/trackers/trackers.ts';

/** Milliseconds of waiting after which an explanation is logged. */
const SLOW_END_MS = 2000;

/** The parts of a run that are needed to report it. */
export interface RunScope extends Pick<JobScope, 'job'> {
  readonly runDir: string;
  readonly keeper: StateKeeper;
}

/** The position of a line in the training. */
export interface MetricsPlace {
  readonly step: number;
  readonly epoch: number;
}

export class RunMetrics {
  private readonly params: RunScope;
  private evaluationCount: number;
  private readonly trackers = new Map<TrackerName, MetricsTracker>();

  /** @param kept the lines of the run so far */
  constructor(params: RunScope, kept: readonly MetricsLine[]) {
    this.params = params;
    this.evaluationCount = kept.filter(isEvaluation).length;
  }

  /** The number of evaluations since the first update, including those of earlier processes. */
  get evaluations(): number {
    return this.evaluationCount;
  }

  /** From now on, also sends lines to these trackers. A tracker that fails is reported once and dropped. */
  async trackWith(names: readonly TrackerName[], run: TrackedRun): Promise<void> {
    for (const name of names) await this.track(name, async () => void this.trackers.set(name, await trackers[name](run)));
  }

  /** Sends everything that trackers have not received yet, and ends the run there. Never rejects. */
  async endTracking(how: TrackedEnd): Promise<void> {
    const left = new Set(this.trackers.keys());
    const report = setTimeout(() => {
      const labels = [...left].map(name => trackerCatalog[name].label).join(' and ');
      this.params.job.log('info', `waiting for ${labels} to take the last metrics`);
    }, SLOW_END_MS).unref();
    const ending = [...this.trackers].map(([name, tracker]) =>
      this.track(name, async () => tracker.end?.(how)).finally(() => left.delete(name)),
    );
    await Promise.all(ending);
    clearTimeout(report);
    this.trackers.clear();
  }

  private async track(name: TrackerName, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.trackers.delete(name);
      const { label } = trackerCatalog[name];
      this.params.job.log(
        'warning',
        `the metrics are no longer written for ${label} (${messageOf(error)}); metrics.jsonl has all of them, and training is not affected`,
      );
    }
  }

  async emit({ step, epoch }: MetricsPlace, values: Readonly<Record<string, number>>): Promise<void> {
    const { runDir, job } = this.params;
    const line = { step, epoch, ...values };
    await appendMetrics(runDir, line);
    for (const [name, tracker] of [...this.trackers]) await this.track(name, () => tracker.append(line));
    job.emit({ type: 'metrics', step, values: { epoch, ...values } });
    await this.keep(values);
  }

  /** Writes a line for held-out data, and evaluation.json. */
  async evaluation(place: MetricsPlace, found: Evaluation, before: Evaluation | undefined): Promise<void> {
    await this.emit(place, evaluationMetrics(found));
    if (place.step > 0) this.evaluationCount++;
    const newest = { step: place.step, before: before ?? null, newest: found };
    await writeJson(path.join(this.params.runDir, RUN_FILES.evaluation), newest);
  }

  /** Reports an earlier checkpoint as the result: its metrics are those of the run, and already have their line. */
  async handsOver({ step, evaluation }: { readonly step: number; readonly evaluation: Evaluation }): Promise<void> {
    const values = evaluationMetrics(evaluation);
    this.params.job.emit({ type: 'metrics', step, values });
    await this.keep(values);
  }

  private async keep(values: Readonly<Record<string, number>>): Promise<void> {
    const { keeper } = this.params;
    await keeper.update(newestOf([keeper.state.metrics ?? {}, values]));
  }
}

const isEvaluation = ({ step = 0, eval_loss }: MetricsLine): boolean => step > 0 && eval_loss !== undefined;

/** Metrics of an evaluation that only describe its duration. */
const OF_TIME = new Set(['eval_runtime', 'eval_samples_per_second']);

/** The newest values by which a run is judged: the training loss and all held-out metrics. */
export function newestOf(lines: readonly MetricsLine[]): Pick<RunState, 'loss' | 'metrics'> {
  const metrics: Record<string, number> = {};
  for (const line of lines)
    for (const [name, value] of Object.entries(line))
      if (name === 'loss' || (name.startsWith('eval_') && !OF_TIME.has(name))) metrics[name] = value;
  return { loss: metrics.loss, metrics };
}
