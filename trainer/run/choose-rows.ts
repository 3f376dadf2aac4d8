/** Importance and selection: which rows of which modules are trained, from saved scores or by computing them. */
import path from 'node:path';
import { describeMachine } from '../engine/machine.ts';
import { measureNeeds } from '../importance/measure.ts';
import { partialScores } from '../importance/partial-scores.ts';
import { type ImportanceData, scoreModel } from '../importance/score-model.ts';
import { loadScores, type ScoresOrigin } from '../importance/scores-file.ts';
import type { ModuleSpec } from '../model/model-spec.ts';
import type { JobContext } from '../protocol/job-messages.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { createRandom, permutation } from '../random.ts';
import type { Scores } from '../selection.ts';
import type { Job } from './job.ts';
import type { Base } from './open-base.ts';
import type { TaskSetup } from './task-setup.ts';

/** The stream of random numbers that draws the samples; batches and the split take others. */
const SAMPLES = 4;

/** The mean gradients of one sweep of the exact measure may take this share of the free memory. */
const SWEEP_SHARE = 0.25;

export interface ComputeScoresParams {
  readonly recipe: Recipe;
  readonly base: Base;
  readonly modules: readonly ModuleSpec[];
  /** The measures that need data look at some of its training samples. */
  readonly setup?: TaskSetup;
  /** Where they will be saved; what there is of them lies beside it until then. */
  readonly outputFile: string;
  readonly context: JobContext;
  readonly job: Job;
}

export interface ComputedScores {
  readonly scores: Scores;
  readonly origin: ScoresOrigin;
  /** Read from `importance.scores`, not computed now. */
  readonly saved: boolean;
}

/** The scores that a recipe asks for. @throws ImportanceError, RunError 'stopped' */
export async function computeScores(params: ComputeScoresParams): Promise<ComputedScores> {
  const { recipe, base, modules, context, job } = params;
  const { measure, seed, exact, scores: file } = recipe.importance;
  if (file !== undefined) {
    job.phase('importance', `reading the scores in ${file}`);
    return { ...(await loadScores(path.resolve(context.baseDir, file), base.fingerprint)), saved: true };
  }
  job.phase('importance', `scoring the rows of ${modules.length} modules by ${measure}`);
  const needsData = measureNeeds[measure] === 'gradients' || measureNeeds[measure] === 'outputs';
  const data = needsData ? importanceData(params) : undefined;
  const origin: ScoresOrigin = { measure, base: base.fingerprint, seed, samples: data?.samples ?? 0, exact };
  const partial = partialScores(params.outputFile, modules, origin);
  let report: ((done: number) => void) | undefined;
  const scores = await scoreModel({
    measure,
    model: params.setup?.model ?? base.model,
    modules,
    weights: base.folder.weights,
    seed,
    data: data?.data,
    partial,
    isCancelled: () => job.stop !== undefined,
    onProgress: (done, total, unit) => {
      report ??= job.progress('importance', total, unit, done - 1);
      report(done);
    },
  })
    .catch((error: unknown) => {
      job.checkStop();
      throw error;
    })
    .finally(() => partial.remove());
  return { scores, origin, saved: false };
}

function importanceData({ recipe, base, setup }: ComputeScoresParams): { data: ImportanceData; samples: number } | undefined {
  if (!setup || setup.samples === 0) return undefined;
  const { samples, batch_size: batchSize, seed, exact } = recipe.importance;
  const drawn = [...permutation(setup.samples, createRandom(seed, SAMPLES)).slice(0, samples)].sort((a, b) => a - b);
  const data: ImportanceData = {
    engine: base.engine,
    task: setup.task,
    source: setup.sourceOf(drawn, batchSize),
    recompute: recipe.recompute === 'auto' ? 'cheap' : recipe.recompute,
    exact,
    sweepBytes: SWEEP_SHARE * describeMachine().memory.availableBytes,
  };
  return { data, samples: drawn.length };
}
