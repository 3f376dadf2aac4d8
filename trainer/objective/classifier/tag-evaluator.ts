/** Evaluation of word labels: loss, accuracy per word, and precision, recall and F1 of entities, counted as in seqeval. */

import type { Batch, BatchSource } from '../../data/batch/batches.ts';
import { countEntities, entityScores, OUTSIDE, tagParts } from '../../data/tagged/entities.ts';
import { labeledWords, type TaggedText } from '../../data/tagged/load-tagged.ts';
import type { HostArray } from '../../graph/types.ts';
import { type Evaluation, type Evaluator, labelResult, type Tally } from '../../job/evaluate.ts';
import { macroF1 } from '../../train/metrics.ts';

export interface TagEvaluatorParams {
  /** The labels by id. */
  readonly labels: readonly string[];
  readonly source: BatchSource;
  readonly examples: readonly TaggedText[];
}

export function tagEvaluator({ labels, source, examples }: TagEvaluatorParams): Evaluator {
  return { source, samples: examples.length, extraFeeds: () => ({}), startTally: () => new TagTally(labels, examples) };
}

class TagTally implements Tally {
  private readonly labels: readonly string[];
  private readonly examples: readonly TaggedText[];
  /** Actual and predicted tags of the words that count, for each sentence. */
  private readonly sentences: [string[], string[]][] = [];
  private losses = 0;

  constructor(labels: readonly string[], examples: readonly TaggedText[]) {
    this.labels = labels;
    this.examples = examples;
  }

  add({ bucket, sampleIndices }: Batch, { logits, losses }: Readonly<Record<string, HostArray>>): void {
    for (const [row, index] of sampleIndices.entries()) {
      const example = this.examples[index];
      if (!example || !logits) continue;
      const [actual, predicted]: [string[], string[]] = [[], []];
      for (const { token, target } of labeledWords(example)) {
        const place = row * bucket.tokens + token;
        actual.push(this.labels[target] ?? OUTSIDE);
        predicted.push(this.labels[largestAt(logits, place, this.labels.length)] ?? OUTSIDE);
        this.losses += losses?.[place] ?? Number.NaN;
      }
      this.sentences.push([actual, predicted]);
    }
  }

  result(): Omit<Evaluation, 'seconds'> {
    const { sentences, labels } = this;
    const words = sentences.reduce((sum, [actual]) => sum + actual.length, 0);
    const hasEntities = labels.some(tagParts);
    const right = sentences.reduce((sum, [actual, predicted]) => sum + actual.filter((tag, at) => tag === predicted[at]).length, 0);
    const kinds = [...new Set(labels.map(kindOf))];
    const { precision, recall, f1 } = entityScores(countEntities(sentences).values());
    const counts = confusion(sentences, kinds);
    return {
      loss: this.losses / words,
      samples: sentences.length,
      targets: words,
      // The accuracy compares full tags, with prefixes; the table compares types.
      labels: { ...labelResult(kinds, counts), accuracy: right / words },
      measures: hasEntities ? { f1, precision, recall } : { f1: macroF1(counts) },
    };
  }
}

/** The row of a word in the confusion matrix: the type of its entity, or its tag. */
const kindOf = (tag: string): string => tagParts(tag)?.type ?? tag;

/** The index of the largest of `count` logits in row `row`. */
function largestAt(logits: HostArray, row: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if ((logits[row * count + i] ?? 0) > (logits[row * count + best] ?? 0)) best = i;
  return best;
}

/** Counts words by the kinds of their actual and predicted tags. */
function confusion(sentences: readonly (readonly [readonly string[], readonly string[]])[], kinds: readonly string[]): number[][] {
  const places = new Map(kinds.map((kind, i) => [kind, i]));
  const counts = kinds.map(() => new Array<number>(kinds.length).fill(0));
  for (const [actual, predicted] of sentences)
    for (const [at, tag] of actual.entries()) {
      const row = counts[places.get(kindOf(tag)) ?? -1];
      const column = places.get(kindOf(predicted[at] ?? OUTSIDE)) ?? 0;
      if (row) row[column] = (row[column] ?? 0) + 1;
    }
  return counts;
}
