/** The job 'importance': computes and saves the scores of every targeted row or column. */
import path from 'node:path';
import { measureCatalog, measureOfRows, needsData } from '../catalog/measures.ts';
import { removeHalfWritten } from '../files/durable-file.ts';
import { makeFolder } from '../files/durable-folder.ts';
import { whyNotWritable } from '../files/output-place.ts';
import { ImportanceError } from '../importance/importance-error.ts';
import { requireOwnScores } from '../importance/own-scores.ts';
import { type ScoresOrigin, saveScores } from '../importance/scores-file.ts';
import type { StabilityReport } from '../importance/stability-report.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import { openBase } from '../job/open-base.ts';
import { setUpTask } from '../objective/set-up-task.ts';
import { choosePrecision } from '../plan/choices/choose-precision.ts';
import { computeScores } from '../plan/choices/choose-rows.ts';
import { planTargets } from '../plan/run-plan.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { trainedUnit } from '../protocol/recipe/rows-budget.ts';
import { precisionOf } from '../train/recipe-settings.ts';
import { writeStabilityReport } from './importance-report.ts';

export interface ImportanceResult extends ScoresOrigin {
  readonly outputFile: string;
  readonly modules: number;
  readonly rows: number;
  readonly seconds: number;
  readonly engine: string;
  /** Present if the report was requested. */
  readonly report?: StabilityReport;
}

/** @throws ImportanceError, RunError 'no-data' if the measure needs data, RunError 'stopped' */
export async function importanceJob(
  request: Extract<JobRequest, { kind: 'importance' }>,
  { job, context }: JobScope,
): Promise<ImportanceResult> {
  const { outputFile } = request;
  const unusable = await whyNotWritable(path.dirname(outputFile));
  if (unusable !== undefined)
    throw new ImportanceError(`the scores cannot be written to ${outputFile}: ${unusable}; choose another --output`);
  await requireOwnScores(outputFile, request.report === true);
  const recipe = scoredRecipe(request.recipe, job);
  const scope = { job, context, recipe };
  const base = await openBase(scope);
  try {
    const needsModel = needsData(recipe.importance.measure) || request.report === true;
    // Scores of weights alone need no type that has to be measured.
    const precision = needsModel ? await choosePrecision({ ...scope, model: base.model }, base.engine) : precisionOf(recipe);
    const setup = needsModel ? await setUpTask({ ...scope, base, precision }, 'train') : undefined;
    const { modules, units } = planTargets(recipe, setup?.model ?? base.model);
    const started = performance.now();
    await makeFolder(path.dirname(outputFile));
    await removeHalfWritten(path.dirname(outputFile), name => name.startsWith(path.basename(outputFile)));
    const params = { ...scope, base, modules, units, setup, outputFile, precision };
    const { origin, saved: _, ...found } = await computeScores(params);
    const seconds = (performance.now() - started) / 1000;
    await saveScores(outputFile, found, origin, units);
    const report = request.report && setup ? await writeStabilityReport({ ...params, setup }) : undefined;
    const rows = [...found.scores.values()].reduce((sum, values) => sum + values.length, 0);
    return { outputFile, modules: found.scores.size, rows, seconds, engine: base.engine.description.summary, ...origin, report };
  } finally {
    await base.folder.weights.close();
  }
}

/**
 * The recipe for scoring. Saved scores are ignored, because this job computes them. A recipe that selects at random has no measure, so its
 * rows are scored as a view of the model.
 */
function scoredRecipe(recipe: Recipe, job: Job): Recipe {
  const importance = { ...recipe.importance, scores: undefined };
  if (measureCatalog[importance.measure].needs !== 'nothing') return { ...recipe, importance };
  const unit = trainedUnit(recipe);
  const measure = measureOfRows(recipe.data.train.length > 0);
  job.log(
    'info',
    `this recipe chooses ${unit === 'coupled' ? 'coupled channels' : unit} at random, without scores: its rows are scored by ${measure}, as a view of the model`,
  );
  return { ...recipe, trains: 'rows', importance: { ...importance, measure } };
}
