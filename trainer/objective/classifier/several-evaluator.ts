/** Evaluation of texts with any number of labels: loss, F1 over all labels and its mean by label, and the best threshold. */

import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import { entityScores } from '../../data/tagged/entities.ts';
import type { HostArray } from '../../graph/types.ts';
import type { Evaluation, Evaluator, Tally } from '../../job/evaluate.ts';
import { sigmoid } from '../../train/metrics.ts';

export interface SeveralEvaluatorParams {
  /** The labels by index. */
  readonly labels: readonly string[];
  readonly source: BatchSource;
  /** The labels of each sample. */
  readonly names: readonly (readonly string[])[];
}

export function severalEvaluator({ labels, source, names }: SeveralEvaluatorParams): Evaluator {
  return { source, samples: names.length, extraFeeds: () => ({}), startTally: () => new SeveralTally(labels, names) };
}

/** Probability from which a label is predicted. */
const THRESHOLD = 0.5;

class SeveralTally implements Tally {
  private readonly labels: readonly string[];
  private readonly names: readonly (readonly string[])[];
  private readonly truth: boolean[][] = [];
  private readonly probabilities: number[][] = [];
  private losses = 0;

  constructor(labels: readonly string[], names: readonly (readonly string[])[]) {
    this.labels = labels;
    this.names = names;
  }

  add({ sampleIndices }: Batch, { logits, losses }: Readonly<Record<string, HostArray>>): void {
    const count = this.labels.length;
    for (const [row, index] of sampleIndices.entries()) {
      const names = this.names[index] ?? [];
      this.truth.push(this.labels.map(name => names.includes(name)));
      this.probabilities.push(this.labels.map((_, label) => sigmoid(logits?.[row * count + label] ?? Number.NaN)));
      for (let label = 0; label < count; label++) this.losses += losses?.[row * count + label] ?? Number.NaN;
    }
  }

  result(): Omit<Evaluation, 'seconds'> {
    const { truth, probabilities, labels } = this;
    const scores = severalScores(truth, probabilities, THRESHOLD);
    const best = bestThreshold(truth, probabilities);
    return {
      loss: this.losses / (truth.length * labels.length),
      samples: truth.length,
      targets: truth.length * labels.length,
      measures: { ...scores, best_threshold: best.threshold, f1_at_best_threshold: best.f1 },
    };
  }
}

export interface SeveralScores {
  /** The share of samples for which all labels are correct. */
  readonly accuracy: number;
  /** The share of predicted labels that are correct. This and the next two are computed over all decisions together (micro). */
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** The mean of the labels' F1. */
  readonly macro_f1: number;
}

/** Scores as in scikit-learn with `zero_division=0`. @param truth and probabilities by sample, then by label */
export function severalScores(
  truth: readonly (readonly boolean[])[],
  probabilities: readonly (readonly number[])[],
  threshold: number,
): SeveralScores {
  const count = truth[0]?.length ?? 0;
  const counts = Array.from({ length: count }, () => ({ actual: 0, predicted: 0, correct: 0 }));
  let exact = 0;
  for (const [sample, row] of truth.entries()) {
    let wrong = 0;
    for (const [label, isActual] of row.entries()) {
      const isPredicted = (probabilities[sample]?.[label] ?? 0) >= threshold;
      const of = counts[label];
      if (of) {
        of.actual += Number(isActual);
        of.predicted += Number(isPredicted);
        of.correct += Number(isActual && isPredicted);
      }
      wrong += Number(isActual !== isPredicted);
    }
    exact += Number(wrong === 0);
  }
  const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  const { precision, recall, f1 } = entityScores(counts);
  return {
    accuracy: ratio(exact, truth.length),
    precision,
    recall,
    f1,
    macro_f1: ratio(
      counts.reduce((sum, of) => sum + entityScores([of]).f1, 0),
      count,
    ),
  };
}

/** The threshold on probabilities that gives the highest F1 over all labels on these samples; the lowest among equals. */
export function bestThreshold(
  truth: readonly (readonly boolean[])[],
  probabilities: readonly (readonly number[])[],
): { readonly threshold: number; readonly f1: number } {
  const decisions = truth.flatMap((row, sample) =>
    row.map((isActual, label) => ({ isActual, probability: probabilities[sample]?.[label] ?? 0 })),
  );
  const actual = decisions.filter(({ isActual }) => isActual).length;
  decisions.sort((a, b) => b.probability - a.probability);
  let best = { threshold: THRESHOLD, f1: 0 };
  let correct = 0;
  for (const [at, { isActual, probability }] of decisions.entries()) {
    correct += Number(isActual);
    if (decisions[at + 1]?.probability === probability) continue;
    const f1 = (2 * correct) / (actual + at + 1);
    if (f1 > 0 && f1 >= best.f1) best = { threshold: probability, f1 };
  }
  return best;
}
