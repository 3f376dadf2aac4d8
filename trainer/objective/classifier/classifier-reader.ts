/** The differences between classifier tasks: how their samples are read, how batches are made, and how answers are judged. */

import type { OrderSettings } from '../../data/batch/batch-settings.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { placesOf } from '../../data/label-places.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';

/** A sample with its label, or the number to predict. */
export interface Labeled {
  /** '' for a sample that has no label as a whole. */
  readonly label: string;
  /** The place of the label among all, or the number itself; −1 for a sample that has no label as a whole. */
  readonly target: number;
  readonly file: string;
}

export interface ReadPart {
  readonly files: readonly string[];
  /** By id; empty takes them from the data. */
  readonly labels: readonly string[];
  readonly maxSamples: number | undefined;
}

export interface SourceRequest {
  readonly batchSize: number;
  readonly order: OrderSettings;
  /** Whether samples are changed at random, where the recipe asks for it. */
  readonly trains: boolean;
  /** The weight of each label in the loss; left out, all weigh 1. */
  readonly classWeights?: readonly number[];
}

export interface ClassifierReader<Sample extends Labeled> {
  readonly read: (part: ReadPart) => Promise<{ readonly examples: readonly Sample[]; readonly labels: readonly string[] }>;
  /** Gives the function that puts the target of a sample at its place among these labels. */
  readonly place: (labels: readonly string[]) => (example: Sample) => Sample;
  readonly source: (examples: readonly Sample[], model: ClassifierModel, request: SourceRequest) => BatchSource;
  /** Samples of each label, or words of each tag, by place; for `class_weights`. */
  readonly countLabels: (examples: readonly Sample[], labels: readonly string[]) => number[];
  /** Samples with the same key are held out together. */
  readonly groupOf?: (example: Sample) => string;
  readonly evaluator: (examples: readonly Sample[], model: ClassifierModel, source: BatchSource) => Evaluator;
  /** Pixels of the model's input, where it takes any. */
  readonly imageSize?: readonly [number, number];
}

/** Gives a sample the place of its label; a number to predict stays as it is, since there are no labels. */
export function placeLabel(labels: readonly string[]): <Sample extends Labeled>(example: Sample) => Sample {
  const places = placesOf(labels);
  return example => (labels.length === 0 ? example : { ...example, target: places.get(example.label) ?? -1 });
}

/** How often each place of a label occurs. */
export function countPlaces(places: Iterable<number>, labels: readonly string[]): number[] {
  const counts = labels.map(() => 0);
  for (const place of places) if (place in counts) counts[place] = (counts[place] ?? 0) + 1;
  return counts;
}
