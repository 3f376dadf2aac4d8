/** What a run of each task is made of: its data as batches, its loss, its evaluation. The loop, importance and memory know no task. */
import type { Model } from '../model/model-spec.ts';
import type { BatchSource } from '../train/data/batches.ts';
import type { Task } from '../train/task.ts';
import { setUpCausal } from './causal-setup.ts';
import type { Evaluator } from './evaluate.ts';
import type { LoadDataParams } from './load-data.ts';
import { RunError } from './run-error.ts';

export interface TaskSetup {
  /** The model to train: with a head for the labels of the data, where the task has labels. */
  readonly model: Model;
  readonly task: Task;
  /** The labels by id; empty without. */
  readonly labels: readonly string[];
  /** Training samples; 0 where only the held-out part was asked for. */
  readonly samples: number;
  /** The label of a training sample as its place in `labels`; −1 without. */
  readonly labelOf: (index: number) => number;
  /** The batches to train on, in the order of each epoch. @throws DataError where there is no sample */
  readonly trainSource: () => BatchSource;
  /** Some of the training samples in the order of their places, for importance. */
  readonly sourceOf: (indices: readonly number[], batchSize: number) => BatchSource;
  /** Where there is held-out data. */
  readonly evaluator: Evaluator | undefined;
}

export type SetUpTask = (params: LoadDataParams, part: 'train' | 'held') => Promise<TaskSetup>;

const setUps: Readonly<Partial<Record<LoadDataParams['recipe']['task'], SetUpTask>>> = { causal_lm: setUpCausal };

/** @throws RunError 'no-data', 'unsupported'; DataError for data that is malformed */
export function setUpTask(params: LoadDataParams, part: 'train' | 'held'): Promise<TaskSetup> {
  const { task } = params.recipe;
  const setUp = setUps[task];
  if (!setUp) throw new RunError('unsupported', `the task ${task} can't be trained yet`, 'Set task: causal_lm');
  return setUp(params, part);
}
