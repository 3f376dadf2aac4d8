/** Held-out samples laid out for evaluation: batches, and for labelled data what is looked at to read off the label. */
import { type BatchPlan, createBatchPlan } from '../train/data/batch-plan.ts';
import type { LabelCompletion } from '../train/data/load-dataset.ts';
import type { Example, TokenSequence } from '../train/data/types.ts';
import { BUCKETS } from './batch-settings.ts';
import { chooseScoring, type LabelScoring, labelStart, withLabel } from './label-scoring.ts';

/** One sequence of the plan. */
export interface EvalEntry {
  /** Index of the sample. */
  readonly sample: number;
  /** Its targets count in loss and token accuracy; variants with another label do not. */
  readonly counts: boolean;
  /** Index of the label that stands in it; −1 where there is none to find. */
  readonly label: number;
  /** Where that label begins. */
  readonly labelStart: number;
}

export interface EvalSet {
  readonly plan: BatchPlan;
  readonly entries: readonly EvalEntry[];
  readonly samples: number;
  readonly scoring: LabelScoring | undefined;
  /** Index of each sample's own label; −1 without one. */
  readonly truth: Int32Array;
  readonly packed: boolean;
}

export interface EvalSetParams {
  readonly examples: readonly Example[];
  readonly labels: readonly LabelCompletion[];
  readonly batchSize: number;
  readonly packing: boolean;
  readonly maxPositions: number;
  readonly seed: number;
}

/** Labelled samples stand one in a row, the others packed where `packing` is set. */
export function createEvalSet({ examples, labels, batchSize, packing, maxPositions, seed }: EvalSetParams): EvalSet {
  const scoring = chooseScoring(labels);
  const names = labels.map(({ name }) => name);
  const truth = Int32Array.from(examples, ({ label }) => (label === undefined ? -1 : names.indexOf(label)));
  const sequences: TokenSequence[] = [];
  const entries: EvalEntry[] = [];
  for (const [sample, example] of examples.entries()) {
    const label = truth[sample] ?? -1;
    const own = labels[label];
    const start = own && scoring ? labelStart(example, own) : -1;
    sequences.push(example);
    entries.push({ sample, counts: true, label: start < 0 ? -1 : label, labelStart: start });
    if (scoring?.kind !== 'each' || start < 0 || !own) continue;
    for (const [other, completion] of labels.entries()) {
      if (other === label) continue;
      const variant = withLabel(example, own, start, completion, maxPositions);
      sequences.push(variant);
      entries.push({ sample, counts: false, label: other, labelStart: variant.train.indexOf(1) });
    }
  }
  const longest = sequences.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  const plan = createBatchPlan(sequences, {
    batchSize,
    maxLength: longest,
    packing: packing && !scoring,
    shuffle: false,
    seed,
    ...BUCKETS,
  });
  return { plan, entries, samples: examples.length, scoring, truth, packed: packing };
}
