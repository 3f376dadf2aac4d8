/** Evaluation of language models: loss, perplexity and token accuracy, and for labeled data the label that the model would write. */

import { type BatchPlan, createBatchPlan, planBatches } from '../../data/batch/batch-plan.ts';
import { BUCKETS, freeOrder } from '../../data/batch/batch-settings.ts';
import type { Batch, BatchSource, TokenBatch } from '../../data/batch/batches.ts';
import type { LabelCompletion } from '../../data/load/load-dataset.ts';
import type { Examples, List } from '../../data/tokens/example-store.ts';
import type { TokenSequence } from '../../data/types.ts';
import type { HostArray } from '../../graph/types.ts';
import { type Evaluation, type Evaluator, type LabelResult, labelResult, type Tally } from '../../job/evaluate.ts';
import { chooseScoring, type LabelScoring, labelStart, withLabel } from './label-scoring.ts';

/** One sequence of the plan. */
export interface EvalEntry {
  /** Index of the sample. */
  readonly sample: number;
  /** True if its targets count in loss and token accuracy; those of variants with another label do not. */
  readonly counts: boolean;
  /** Index of the label in it; −1 if there is no label to find. */
  readonly label: number;
  /** Start position of that label. */
  readonly labelStart: number;
}

interface TokenEvalSet {
  readonly source: BatchSource<TokenBatch>;
  readonly entries: readonly EvalEntry[];
  readonly samples: number;
  readonly scoring: LabelScoring | undefined;
  /** Index of each sample's own label; −1 without a label. */
  readonly truth: Int32Array;
}

export interface TokenEvaluatorParams {
  readonly examples: Examples;
  readonly labels: readonly LabelCompletion[];
  readonly batchSize: number;
  readonly packing: boolean;
  readonly maxPositions: number;
  readonly seed: number;
  readonly source: (plan: BatchPlan, sequences: List<TokenSequence>, packed?: boolean) => BatchSource<TokenBatch>;
}

export interface TokenEvaluator extends Evaluator {
  readonly source: BatchSource<TokenBatch>;
  readonly scoring: LabelScoring | undefined;
}

/** Evaluates samples. Labeled samples take a row each; the others are packed if `packing` is set. */
export function tokenEvaluator(params: TokenEvaluatorParams): TokenEvaluator {
  const set = createEvalSet(params);
  return {
    source: set.source,
    samples: set.samples,
    scoring: set.scoring,
    extraFeeds: batch => labelFeeds(set, batch),
    startTally: () => new TokenTally(set),
  };
}

function createEvalSet({ examples, labels, batchSize, packing, maxPositions, seed, source: sourceOf }: TokenEvaluatorParams): TokenEvalSet {
  const scoring = chooseScoring(labels);
  const names = labels.map(({ name }) => name);
  const samples = examples.length;
  const truth = Int32Array.from({ length: samples }, (_, sample) => names.indexOf(examples.label(sample) ?? ''));
  const settings = { batchSize, packing: packing && !scoring, ...freeOrder(seed), ...BUCKETS };
  if (!scoring) {
    const maxLength = longestOf(examples.sizes);
    const source = sourceOf(planBatches(examples.sizes, { ...settings, maxLength }), examples, packing);
    const entries = Array.from({ length: samples }, (_, sample) => ({ sample, counts: true, label: -1, labelStart: -1 }));
    return { source, entries, samples, scoring, truth };
  }
  const sequences: TokenSequence[] = [];
  const entries: EvalEntry[] = [];
  let sample = -1;
  for (const example of examples) {
    sample++;
    const label = truth[sample] ?? -1;
    const own = labels[label];
    const start = own ? labelStart(example, own) : -1;
    sequences.push(example);
    entries.push({ sample, counts: true, label: start < 0 ? -1 : label, labelStart: start });
    if (scoring.kind !== 'each' || start < 0 || !own) continue;
    for (const [other, completion] of labels.entries()) {
      if (other === label) continue;
      const variant = withLabel(example, own, start, completion, maxPositions);
      sequences.push(variant);
      entries.push({ sample, counts: false, label: other, labelStart: variant.train.indexOf(1) });
    }
  }
  const maxLength = longestOf(sequences.map(({ ids }) => ids));
  const plan = createBatchPlan(sequences, { ...settings, maxLength });
  const source = sourceOf(plan, sequences, packing);
  return { source, entries, samples, scoring, truth };
}

function longestOf(sizes: Iterable<{ readonly length: number }>): number {
  let longest = 1;
  for (const { length } of sizes) longest = Math.max(longest, length);
  return longest;
}

/** Feeds the position that predicts the first token in which labels differ, one per row; rows without a sample may read any position. */
function labelFeeds({ scoring, entries }: TokenEvalSet, { bucket, sampleIndices }: Batch): Record<string, HostArray> {
  if (scoring?.kind !== 'begin') return {};
  const labelPositions = new Int32Array(bucket.batch);
  for (const [row, index] of sampleIndices.entries()) {
    const start = entries[index]?.labelStart ?? -1;
    if (start >= 0) labelPositions[row] = row * bucket.tokens + start + scoring.offset - 1;
  }
  return { labelPositions };
}

class TokenTally implements Tally {
  private readonly set: TokenEvalSet;
  /** Log-likelihood of each label for each sample, [samples, labels]. */
  private readonly scores: Float64Array;
  private readonly seen: Uint8Array;
  private nll = 0;
  private hits = 0;
  private targets = 0;

  constructor(set: TokenEvalSet) {
    this.set = set;
    this.scores = new Float64Array(set.samples * (set.scoring?.labels.length ?? 0));
    this.seen = new Uint8Array(set.samples);
  }

  add(batch: TokenBatch, { nll, hits, labelScores }: Readonly<Record<string, HostArray>>): void {
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
    for (let sample = 0; sample < samples; sample++) {
      const row = counts[truth[sample] ?? -1];
      if (!row || this.seen[sample] === 0) continue;
      const scores = this.scores.subarray(sample * names.length, (sample + 1) * names.length);
      const written = scores.indexOf(Math.max(...scores));
      if (written >= 0) row[written] = (row[written] ?? 0) + 1;
    }
    return labelResult(names, counts);
  }
}
