/** The results of the study. */
import type { Family, PartName } from './study-plan.ts';

export interface StudyRun {
  readonly part: PartName;
  readonly purpose: 'tune' | 'test';
  readonly way: string;
  readonly family: Family;
  readonly learningRate: number;
  readonly seed: number;
  /** Accuracy of the model with its new head, untrained. */
  readonly before: number;
  /** 0 of a run that diverged, whose loss is the largest number and whose steps are 0. */
  readonly accuracy: number;
  readonly loss: number;
  /** Trained parameters, the head's among them, and those of the whole model. */
  readonly trainable: number;
  readonly parameters: number;
  readonly steps: number;
  /** Evaluated. */
  readonly samples: number;
  /** The time of the whole run, including loading and compilation. */
  readonly seconds: number;
}

export interface PartResult {
  readonly part: PartName;
  /** The settings that the numbers depend on: `planOf`. */
  readonly plan: string;
  /** The fingerprint of the base's weights: trained on another machine it is another base. */
  readonly base: string;
  readonly runs: readonly StudyRun[];
  /** Since the study began. */
  readonly minutes: number;
}

export type StudyResults = Readonly<Partial<Record<PartName, PartResult & { readonly date: string; readonly machine: string }>>>;
