/**
 * The parts of a run that depend on the task: batches, loss, evaluation. The loop, importance and memory know no task.
 */

import type { Batch, BatchSource } from '../data/batch/batches.ts';
import type { DataDigest } from '../data/data-digest.ts';
import type { DataReport } from '../data/shown/data-report.ts';
import type { Example } from '../data/types.ts';
import type { Parts } from '../graph/graph.ts';
import type { HostArray } from '../graph/types.ts';
import type { Evaluator } from '../job/evaluate.ts';
import type { RecipeScope } from '../job/job-scope.ts';
import type { Base, BaseFiles } from '../job/open-base.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { Precision } from '../model/weight-storage.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { MeasureSums } from '../train/measure-sums.ts';
import type { Task } from '../train/task.ts';

export interface TaskSetup {
  /** The model to train: with a head for the labels of the data, where the task has labels. */
  readonly model: AnyModel;
  readonly task: Task;
  /** The labels by id; empty without. */
  readonly labels: readonly string[];
  /** Training samples; 0 where only the held-out part was asked for. */
  readonly samples: number;
  /** Digests of the training and the held-out samples. */
  readonly digest: DataDigest;
  /** 3 if the training samples are tokenized when they are needed; see `TrainerState`. */
  readonly batching?: 3 | undefined;
  /** The label of a training sample as its place in `labels`; −1 without. */
  readonly labelOf: (index: number) => number;
  /**
   * The batches to train on, in the order of each epoch.
   * @param looseGroups see `BatchSettings`
   * @param parts of a batch, and the one of them that is given; left out, that of this process, or of its first device
   * @throws DataError where there is no sample
   */
  readonly trainSource: (looseGroups?: boolean, parts?: Parts) => BatchSource;
  /** Some of the training samples in the order of their places, for importance. */
  readonly sourceOf: (indices: readonly number[], batchSize: number) => BatchSource | Promise<BatchSource>;
  /** Present if there is held-out data. */
  readonly evaluator: Evaluator | undefined;
  /** The held-out samples whose answers a language model should write. */
  readonly heldAnswers?: () => Iterable<Example>;
  /** Measures of a training batch from the outputs of its step. */
  readonly measure?: MeasureBatch;
  /** Adds to the measures of a batch those that follow from all of it. Where several processes have its parts, it is given their sums. */
  readonly measureWhole?: (sums: MeasureSums) => MeasureSums;
}

export type MeasureBatch = (batch: Batch, outputs: Readonly<Record<string, HostArray>>) => MeasureSums;

/** The surroundings of whatever reads the data of a recipe. */
export interface ReadParams extends RecipeScope {
  readonly base: BaseFiles;
  /** Label names to take where the recipe names none: those that an adapter was trained with. */
  readonly labels?: readonly string[];
  /** Receives the report of each part that was read. */
  readonly onReport?: (report: DataReport) => void;
  /** Few samples are drawn, which are tokenized at once, without threads and without a cache of their tokens. */
  readonly isBrief?: boolean;
}

export interface SetUpParams extends ReadParams {
  readonly base: Base;
  /** How the run holds weights and computes; float32 where it is left out. */
  readonly precision?: Precision;
  /** Present for a training run. */
  readonly runDir?: string;
  /** The batching of the run that is resumed; see `TrainerState`. */
  readonly batching?: 1 | 2 | 3 | undefined;
}

/** The parts of a batch, and that of this process, or of its first device; undefined where there is one. */
export function ownParts({ ranks, recipe: { devices } }: Pick<RecipeScope, 'ranks' | 'recipe'>): Parts | undefined {
  if (ranks) return ranks.parts;
  return devices > 1 ? { count: devices, own: 0 } : undefined;
}

/** @param part 'held': the held-out samples alone, the same as a training run would hold out */
export type SetUpTask = (params: SetUpParams, part: 'train' | 'held') => Promise<TaskSetup>;

/** The loss and the evaluation of a model of an objective's kind by itself, before any data is read. */
export type TaskOf = (model: AnyModel, recipe: Pick<Recipe, 'distillation' | 'embedding' | 'packing' | 'preference'>) => Task;
