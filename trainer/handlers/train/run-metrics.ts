/** The numbers of a run, said once: each line of metrics goes to metrics.jsonl, to who listens, and, as the newest values, to state.json. */
import path from 'node:path';
import { writeJson } from '../../files/durable-file.ts';
import { type Evaluation, evaluationMetrics } from '../../job/evaluate.ts';
import type { Job } from '../../job/job.ts';
import { RUN_FILES } from '../../protocol/run-files.ts';
import { appendMetrics, type MetricsLine } from '../../run/metrics-file.ts';
import type { RunState, StateKeeper } from '../../run/run-state.ts';

export interface RunMetricsParams {
  readonly runDir: string;
  readonly job: Job;
  readonly keeper: StateKeeper;
}

/** Where in the training a line belongs. */
export interface MetricsPlace {
  readonly step: number;
  readonly epoch: number;
}

export class RunMetrics {
  private readonly params: RunMetricsParams;

  constructor(params: RunMetricsParams) {
    this.params = params;
  }

  async emit({ step, epoch }: MetricsPlace, values: Readonly<Record<string, number>>): Promise<void> {
    const { runDir, job } = this.params;
    await appendMetrics(runDir, { step, epoch, ...values });
    job.emit({ type: 'metrics', step, values: { epoch, ...values } });
    await this.keep(values);
  }

  /** A line for held-out data, and evaluation.json. */
  async evaluation(place: MetricsPlace, found: Evaluation, before: Evaluation | undefined): Promise<void> {
    await this.emit(place, evaluationMetrics(found));
    const newest = { step: place.step, before: before ?? null, newest: found };
    await writeJson(path.join(this.params.runDir, RUN_FILES.evaluation), newest);
  }

  /** What the run hands over is an earlier checkpoint: its numbers are those of the run, and have their line already. */
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

/** How long an evaluation took says nothing of the model. */
const OF_TIME = new Set(['eval_runtime', 'eval_samples_per_second']);

/** The newest values of what a run is judged by: the loss of the training, and all that held-out data says. */
export function newestOf(lines: readonly MetricsLine[]): Pick<RunState, 'loss' | 'metrics'> {
  const metrics: Record<string, number> = {};
  for (const line of lines)
    for (const [name, value] of Object.entries(line))
      if (name === 'loss' || (name.startsWith('eval_') && !OF_TIME.has(name))) metrics[name] = value;
  return { loss: metrics.loss, metrics };
}
