/**
 * Evaluation of classifiers and regressions: loss, accuracy per class, F1, Matthews correlation and calibration; or correlation and squared
 * error.
 */

import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import type { HostArray } from '../../graph/types.ts';
import { type Evaluation, type Evaluator, labelResult, type Tally } from '../../job/evaluate.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import {
  calibrationError,
  classAccuracies,
  f1,
  likeliestLabel,
  macroF1,
  matthews,
  pearson,
  quartiles,
  spearman,
} from '../../train/metrics.ts';

export interface ClassEvaluatorParams {
  readonly model: ClassifierModel;
  readonly source: BatchSource;
  /** The class of each sample, or the number to predict. */
  readonly targets: ArrayLike<number>;
}

export function classEvaluator({ model, source, targets }: ClassEvaluatorParams): Evaluator {
  return {
    source,
    samples: targets.length,
    extraFeeds: () => ({}),
    startTally: () => (model.problem === 'regression' ? new NumberTally(targets) : new ClassTally(model.labels, targets)),
  };
}

class NumberTally implements Tally {
  private readonly targets: ArrayLike<number>;
  private readonly truth: number[] = [];
  private readonly given: number[] = [];

  constructor(targets: ArrayLike<number>) {
    this.targets = targets;
  }

  add({ sampleIndices }: Batch, { logits }: Readonly<Record<string, HostArray>>): void {
    for (const [row, index] of sampleIndices.entries()) {
      this.truth.push(this.targets[index] ?? Number.NaN);
      this.given.push(logits?.[row] ?? Number.NaN);
    }
  }

  result(): Omit<Evaluation, 'seconds'> {
    const { truth, given } = this;
    const loss = truth.reduce((sum, value, i) => sum + (value - (given[i] ?? 0)) ** 2, 0) / truth.length;
    const measures = { pearson: pearson(truth, given), spearman: spearman(truth, given) };
    return { loss, samples: truth.length, targets: truth.length, measures };
  }
}

class ClassTally implements Tally {
  private readonly labels: readonly string[];
  private readonly targets: ArrayLike<number>;
  private readonly counts: number[][];
  private readonly confidences: number[] = [];
  private readonly hits: boolean[] = [];
  private losses = 0;

  constructor(labels: readonly string[], targets: ArrayLike<number>) {
    this.labels = labels;
    this.targets = targets;
    this.counts = labels.map(() => new Array<number>(labels.length).fill(0));
  }

  add({ sampleIndices }: Batch, { logits, losses }: Readonly<Record<string, HostArray>>): void {
    const width = this.labels.length;
    for (const [row, index] of sampleIndices.entries()) {
      const { place: given, probability } = likeliestLabel(logits, row, width);
      const truth = this.targets[index] ?? -1;
      const counts = this.counts[truth];
      if (counts && given >= 0) counts[given] = (counts[given] ?? 0) + 1;
      this.confidences.push(probability);
      this.hits.push(given === truth);
      this.losses += losses?.[row] ?? Number.NaN;
    }
  }

  result(): Omit<Evaluation, 'seconds'> {
    const { counts, hits } = this;
    const perClass = classAccuracies(counts).flatMap(share => share ?? []);
    const { min, q1, median, q3, max } = quartiles(perClass);
    return {
      loss: this.losses / hits.length,
      samples: hits.length,
      targets: hits.length,
      labels: labelResult(this.labels, counts),
      measures: {
        // With two classes, the second is the positive one, as in GLUE.
        f1: counts.length === 2 ? f1(counts, 1) : macroF1(counts),
        matthews: matthews(counts),
        calibration_error: calibrationError(this.confidences, hits),
        class_accuracy_min: min,
        class_accuracy_q1: q1,
        class_accuracy_median: median,
        class_accuracy_q3: q3,
        class_accuracy_max: max,
      },
    };
  }
}
