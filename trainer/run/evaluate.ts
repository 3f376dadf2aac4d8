/** One evaluation: loss, perplexity and token accuracy over held-out samples, and label accuracy where they have labels. */
import type { Session } from '../engine/engine.ts';
import type { HostArray } from '../graph/types.ts';
import { type Batch, epochBatches } from '../train/data/batches.ts';
import { batchFeeds } from '../train/feeds.ts';
import { evalSignature } from '../train/train-program.ts';
import type { EvalSet } from './eval-set.ts';
import type { Job } from './job.ts';

export interface LabelResult {
  /** Share of samples whose label is the one that the model would write. */
  readonly accuracy: number;
  /** Share of the commonest label: what always answering it would get. */
  readonly majority: number;
  /** True label → written label → samples. */
  readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface Evaluation {
  /** Mean NLL of a target in nats. */
  readonly loss: number;
  readonly perplexity: number;
  /** Share of targets that are the likeliest token. */
  readonly tokenAccuracy: number;
  readonly samples: number;
  readonly targets: number;
  readonly seconds: number;
  readonly labels?: LabelResult;
}

export interface EvaluateParams {
  readonly session: Session;
  readonly set: EvalSet;
  readonly padId: number;
  readonly job: Job;
}

/** Undefined where the job was stopped on the way. */
export async function evaluate({ session, set, padId, job }: EvaluateParams): Promise<Evaluation | undefined> {
  const started = performance.now();
  const tally = new Tally(set);
  const report = job.progress('evaluate', set.plan.batchesPerEpoch, 'batches');
  let done = 0;
  for (const batch of epochBatches(set.plan, 0, padId)) {
    if (job.stop) return undefined;
    const outputs = await session.run(evalSignature(batch.bucket), { ...batchFeeds(batch, 1, set.packed), ...labelFeeds(set, batch) });
    tally.add(batch, outputs);
    report(++done);
  }
  return { ...tally.result(), seconds: (performance.now() - started) / 1000 };
}

/** The position that predicts the token in which the labels differ, one a row; rows without a sample look anywhere. */
function labelFeeds({ scoring, entries }: EvalSet, { bucket, sampleIndices }: Batch): Record<string, HostArray> {
  if (scoring?.kind !== 'begin') return {};
  const labelPositions = new Int32Array(bucket.batch);
  for (const [row, index] of sampleIndices.entries()) {
    const start = entries[index]?.labelStart ?? -1;
    if (start >= 0) labelPositions[row] = row * bucket.tokens + start + scoring.offset - 1;
  }
  return { labelPositions };
}

class Tally {
  private readonly set: EvalSet;
  /** Log-likelihood of each label in each sample, [samples, labels]. */
  private readonly scores: Float64Array;
  private readonly seen: Uint8Array;
  private nll = 0;
  private hits = 0;
  private targets = 0;

  constructor(set: EvalSet) {
    this.set = set;
    this.scores = new Float64Array(set.samples * (set.scoring?.labels.length ?? 0));
    this.seen = new Uint8Array(set.samples);
  }

  add(batch: Batch, { nll, hits, labelScores }: Readonly<Record<string, HostArray>>): void {
    const { entries, scoring } = this.set;
    const labels = scoring?.labels.length ?? 0;
    for (let i = 0; i < batch.targetCount; i++) {
      const entry = entries[batch.targetSamples[i] ?? -1];
      const loss = nll?.[i];
      if (!entry || loss === undefined) continue;
      if (entry.counts) {
        this.nll += loss;
        this.hits += hits?.[i] ?? 0;
        this.targets++;
      }
      const position = ((batch.targetPositions[i] ?? 0) % batch.bucket.tokens) + 1;
      if (scoring?.kind !== 'each' || entry.label < 0 || position < entry.labelStart) continue;
      const at = entry.sample * labels + entry.label;
      this.scores[at] = (this.scores[at] ?? 0) - loss;
      this.seen[entry.sample] = 1;
    }
    if (scoring?.kind !== 'begin') return;
    for (const [row, index] of batch.sampleIndices.entries()) {
      const entry = entries[index];
      if (!entry || entry.label < 0) continue;
      for (let label = 0; label < labels; label++) this.scores[entry.sample * labels + label] = labelScores?.[row * labels + label] ?? 0;
      this.seen[entry.sample] = 1;
    }
  }

  result(): Omit<Evaluation, 'seconds'> {
    const loss = this.nll / this.targets;
    return {
      loss,
      perplexity: Math.exp(loss),
      tokenAccuracy: this.hits / this.targets,
      samples: this.set.samples,
      targets: this.targets,
      labels: this.labelResult(),
    };
  }

  private labelResult(): LabelResult | undefined {
    const { scoring, truth, samples } = this.set;
    if (!scoring) return undefined;
    const names = scoring.labels.map(({ name }) => name);
    const counts = names.map(() => new Array<number>(names.length).fill(0));
    let right = 0;
    let judged = 0;
    for (let sample = 0; sample < samples; sample++) {
      const actual = truth[sample] ?? -1;
      const row = counts[actual];
      if (!row || this.seen[sample] === 0) continue;
      const scores = this.scores.subarray(sample * names.length, (sample + 1) * names.length);
      const written = scores.indexOf(Math.max(...scores));
      if (written < 0) continue;
      row[written] = (row[written] ?? 0) + 1;
      right += Number(written === actual);
      judged++;
    }
    const totals = counts.map(row => row.reduce((sum, count) => sum + count, 0));
    const confusion = Object.fromEntries(
      names.map((name, i) => [name, Object.fromEntries(names.map((written, j) => [written, counts[i]?.[j] ?? 0]))]),
    );
    return { accuracy: right / judged, majority: Math.max(...totals) / judged, confusion };
  }
}

/** By Hugging Face's names, for a line of metrics. */
export function evaluationMetrics({ loss, perplexity, tokenAccuracy, seconds, samples, labels }: Evaluation): Record<string, number> {
  return {
    eval_loss: loss,
    eval_perplexity: perplexity,
    eval_token_accuracy: tokenAccuracy,
    ...(labels ? { eval_accuracy: labels.accuracy } : {}),
    eval_runtime: seconds,
    eval_samples_per_second: samples / seconds,
  };
}
