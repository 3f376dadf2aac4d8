/** The differences between classifier tasks: how their samples are read, and how batches are made. */

import type { OrderSettings } from '../../data/batch/batch-settings.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';

/** A sample with its label, or the number to predict. */
export interface Labeled {
  /** '' for a regression. */
  readonly label: string;
  /** The place of the label among all, or the number itself. */
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
}

export interface ClassifierReader<Sample extends Labeled> {
  readonly read: (part: ReadPart) => Promise<{ readonly examples: readonly Sample[]; readonly labels: readonly string[] }>;
  readonly source: (examples: readonly Sample[], model: ClassifierModel, request: SourceRequest) => BatchSource;
  /** Pixels of the model's input, where it takes any. */
  readonly imageSize?: readonly [number, number];
}
