/** The parts of a training, and the facts that they are made from. */
import type { AdapterDescription } from '../../adapter/adapter.ts';
import type { BatchPlan, Bucket } from '../../data/batch/batch-plan.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import type { DataDigest } from '../../data/data-digest.ts';
import type { Session } from '../../engine/engine.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import type { Base } from '../../job/open-base.ts';
import type { Ranks } from '../../job/ranks.ts';
import type { SecondChoice } from '../../method/young-rows.ts';
import type { MeasureBatch, TaskSetup } from '../../objective/task-setup.ts';
import type { RecomputeChoice } from '../../plan/choose-recompute.ts';
import type { Coverage } from '../../plan/coverage.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import type { RunScope } from './run-metrics.ts';

export interface PrepareParams extends RecipeScope {
  readonly runDir: string;
  /** When the run was begun, ISO 8601. */
  readonly startedAt: string;
  /** The state to resume from. */
  readonly checkpoint?: Checkpoint;
}

/** A run in its folder. */
export interface RunParams extends RecipeScope, RunScope {
  /** The folder of the run, if this is another rank than the first, whose `runDir` is its own. */
  readonly mainDir?: string;
  readonly checkpoint?: Checkpoint;
  readonly wasFinished?: boolean;
  /** Evaluations in total after which the run stops and saves. */
  readonly pauseAfter?: number;
  /** A new run, whose folder is still empty. */
  readonly begins?: boolean;
  readonly onFirstUpdate?: () => Promise<void>;
}

export interface Prepared {
  readonly recipe: Recipe;
  /** When the run was begun, ISO 8601. */
  readonly startedAt: string;
  readonly base: Base;
  readonly data: DataDigest;
  /** See `TrainerState`; a run keeps that of its start. */
  readonly batching: 2 | 3;
  readonly source: BatchSource;
  /** The parts of its batches, by the devices that train on them; itself for one device. */
  readonly sources: readonly BatchSource[];
  /** Present if there is held-out data. */
  readonly evaluator: Evaluator | undefined;
  readonly measure: MeasureBatch | undefined;
  readonly measureWhole: TaskSetup['measureWhole'];
  readonly plan: RunPlan;
  readonly recompute: RecomputeChoice;
  readonly coverage: Coverage;
  readonly adapter: AdapterDescription;
  readonly session: Session;
  readonly ranks: Ranks | undefined;
  /** The second choice of the rows that are trained. */
  readonly choice: SecondChoice | undefined;
  /** Resident before the model was loaded, and the parts that follow from shapes. */
  readonly memory: { readonly baselineBytes: number; readonly tuningBytes: number };
}

/** The shape that needs the most memory. */
export const largest = ({ buckets }: BatchPlan): Bucket =>
  buckets.reduce((a, b) => (b.tokens > a.tokens || (b.tokens === a.tokens && b.targets > a.targets) ? b : a));
