/**
 * The parts of a run that depend on the task: batches, loss and evaluation. The training loop, importance and memory estimates are
 * independent of it.
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
import type { DataPart } from '../protocol/view/data.ts';
import type { MeasureSums } from '../train/measure-sums.ts';
import type { Task } from '../train/task.ts';
import type { ImageVectors } from '../vision/encode-images.ts';

export interface TaskSetup {
  /** The model to train, with a head for the labels of the data if the task has labels. */
  readonly model: AnyModel;
  readonly task: Task;
  /** The labels by id; empty if there are none. */
  readonly labels: readonly string[];
  /** Number of training samples; 0 if only the held-out part was requested. */
  readonly samples: number;
  /** Digests of the training and the held-out samples. */
  readonly digest: DataDigest;
  /** 3 if the training samples are tokenized on demand; see `TrainerState`. */
  readonly batching?: 3 | undefined;
  /** Returns the label of a training sample as an index into `labels`; −1 without a label. */
  readonly labelOf: (index: number) => number;
  /**
   * The batches to train on, in the order of each epoch.
   * @param looseGroups see `BatchSettings`
   * @param parts of a batch and the selected one; by default, those of this process or of its first device
   * @throws DataError if there are no samples
   */
  readonly trainSource: (looseGroups?: boolean, parts?: Parts) => BatchSource;
  /** Returns some of the training samples in the order of their indices, for importance. */
  readonly sourceOf: (indices: readonly number[], batchSize: number) => BatchSource | Promise<BatchSource>;
  /** Present if there is held-out data. */
  readonly evaluator: Evaluator | undefined;
  /** The held-out samples whose answers a language model should write. */
  readonly heldAnswers?: () => Iterable<Example>;
  /** The vectors of the samples' images, if they have any. */
  readonly imageVectors?: ImageVectors | undefined;
  /** Computes measures of a training batch from the outputs of its step. */
  readonly measure?: MeasureBatch;
  /**
   * Adds the measures of a batch that depend on all of it. If several processes hold parts of the batch, it receives the sums over them.
   */
  readonly measureWhole?: (sums: MeasureSums) => MeasureSums;
}

export type MeasureBatch = (batch: Batch, outputs: Readonly<Record<string, HostArray>>) => MeasureSums;

/** The context for reading the data of a recipe. */
export interface ReadParams extends RecipeScope {
  readonly base: BaseFiles;
  /** Label names to use if the recipe names none: those that an adapter was trained with. */
  readonly labels?: readonly string[];
  /** Called with the report of each part that was read. */
  readonly onReport?: (report: DataReport, part: DataPart) => void;
  /** Set if only a few samples are drawn: they are tokenized directly, without threads and without caching their tokens. */
  readonly isBrief?: boolean;
}

export interface SetUpParams extends ReadParams {
  readonly base: Base;
  /** How the run stores weights and computes; float32 by default. */
  readonly precision?: Precision;
  /** Present for a training run. */
  readonly runDir?: string;
  /** The batching of the resumed run; see `TrainerState`. */
  readonly batching?: 1 | 2 | 3 | undefined;
  /** The labels of the resumed run. */
  readonly begunLabels?: readonly string[] | undefined;
}

/** The parts of a batch, and that of this process or of its first device; undefined if there is only one part. */
export function ownParts({ ranks, recipe: { devices } }: Pick<RecipeScope, 'ranks' | 'recipe'>): Parts | undefined {
  if (ranks) return ranks.parts;
  return devices > 1 ? { count: devices, own: 0 } : undefined;
}

/** @param part 'held': only the held-out samples, the same as a training run would hold out */
export type SetUpTask = (params: SetUpParams, part: 'train' | 'held') => Promise<TaskSetup>;

/** Returns the loss and the evaluation of a model of an objective's kind, before any data is read. */
export type TaskOf = (
  model: AnyModel,
  recipe: Pick<Recipe, 'distillation' | 'embedding' | 'packing' | 'preference'>,
  inputs?: TaskInputs,
) => Task;

export interface TaskInputs {
  /** True if the texts have images. */
  readonly images: boolean;
}
