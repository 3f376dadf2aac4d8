/** The parts of a training, and the facts from which they are made. */
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
  /** The time when the run began, ISO 8601. */
  readonly startedAt: string;
  /** The checkpoint to resume from. */
  readonly checkpoint?: Checkpoint;
}

/** The parameters of a run in its folder. */
export interface RunParams extends RecipeScope, RunScope {
  /** The folder of the run, set for every rank except the first; `runDir` is then the rank's own folder. */
  readonly mainDir?: string;
  readonly checkpoint?: Checkpoint;
  readonly wasFinished?: boolean;
  /** Number of evaluations in total after which the run stops and saves. */
  readonly pauseAfter?: number;
  /** Whether the run is new and its folder still empty. */
  readonly begins?: boolean;
  readonly onFirstUpdate?: () => Promise<void>;
}

export interface Prepared {
  readonly recipe: Recipe;
  /** The time when the run began, ISO 8601. */
  readonly startedAt: string;
  readonly base: Base;
  readonly data: DataDigest;
  /** See `TrainerState`; a run keeps the value from its start. */
  readonly batching: 2 | 3;
  readonly source: BatchSource;
  /** The batches of each device; for one device, only `source` itself. */
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
  /** The second choice of trained rows, if it was made. */
  readonly choice: SecondChoice | undefined;
  /** Resident memory before the model was loaded, and the memory of the parts that follow from shapes. */
  readonly memory: { readonly baselineBytes: number; readonly tuningBytes: number };
}

/** The shape that needs the most memory. */
export const largest = ({ buckets }: BatchPlan): Bucket =>
  buckets.reduce((a, b) => (b.tokens > a.tokens || (b.tokens === a.tokens && b.targets > a.targets) ? b : a));
