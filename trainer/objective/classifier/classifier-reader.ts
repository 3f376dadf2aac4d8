/** The differences between classifier tasks: how samples are read, how batches are made, and how predictions are evaluated. */

import type { OrderSettings } from '../../data/batch/batch-settings.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { placesOf } from '../../data/label-places.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';

/** A sample with its label, or the number to predict. */
export interface Labeled {
  /** The label; '' for a sample without a label for the whole. */
  readonly label: string;
  /** The index of the label, or the number itself; −1 for a sample without a label for the whole. */
  readonly target: number;
  readonly file: string;
}

export interface ReadPart {
  readonly files: readonly string[];
  /** The labels by id; if empty, they are taken from the data. */
  readonly labels: readonly string[];
  readonly maxSamples: number | undefined;
}

export interface SourceRequest {
  readonly batchSize: number;
  readonly order: OrderSettings;
  /** True if samples are augmented at random, if the recipe requests it. */
  readonly trains: boolean;
  /** The weight of each label in the loss; by default, all are 1. */
  readonly classWeights?: readonly number[];
}

export interface ClassifierReader<Sample extends Labeled> {
  readonly read: (part: ReadPart) => Promise<{ readonly examples: readonly Sample[]; readonly labels: readonly string[] }>;
  /** Returns a function that sets the target of a sample to its index among these labels. */
  readonly place: (labels: readonly string[]) => (example: Sample) => Sample;
  readonly source: (examples: readonly Sample[], model: ClassifierModel, request: SourceRequest) => BatchSource;
  /** Returns the number of samples per label, or of words per tag, by index; for `class_weights`. */
  readonly countLabels: (examples: readonly Sample[], labels: readonly string[]) => number[];
  /** Returns a key; samples with the same key are held out together. */
  readonly groupOf?: (example: Sample) => string;
  readonly evaluator: (examples: readonly Sample[], model: ClassifierModel, source: BatchSource) => Evaluator;
  /** Height and width in pixels of the model's input, if it accepts any size. */
  readonly imageSize?: readonly [number, number];
}

/** Sets a sample's target to the index of its label; a number to predict does not change, since there are no labels. */
export function placeLabel(labels: readonly string[]): <Sample extends Labeled>(example: Sample) => Sample {
  const places = placesOf(labels);
  return example => (labels.length === 0 ? example : { ...example, target: places.get(example.label) ?? -1 });
}

/** The number of occurrences of each label index. */
export function countPlaces(places: Iterable<number>, labels: readonly string[]): number[] {
  const counts = labels.map(() => 0);
  for (const place of places) if (place in counts) counts[place] = (counts[place] ?? 0) + 1;
  return counts;
}
