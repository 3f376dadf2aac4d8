/** Importance and selection: chooses the rows or columns of each module to train, from saved or newly computed scores. */

import path from 'node:path';
import { type MeasureName, measureCatalog, movesWeights, needsData, needsWeightGradients } from '../../catalog/measures.ts';
import { selectCoupled } from '../../coupling/coupling.ts';
import { MOVEMENT_STEP } from '../../importance/movement.ts';
import { partialScores } from '../../importance/partial-scores.ts';
import { batchesFingerprint, openScoreCache, type ScoreCache } from '../../importance/score-cache.ts';
import { type ClassesOfSamples, type ImportanceData, scoreModel } from '../../importance/score-model.ts';
import { loadScores, type ModelScores, type ScoresOrigin, saveScores } from '../../importance/scores-file.ts';
import type { Job } from '../../job/job.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import type { Base } from '../../job/open-base.ts';
import type { Ranks } from '../../job/ranks.ts';
import { availableMemoryBytes } from '../../machine/machine.ts';
import type { Attachment, MethodSettings } from '../../method/method.ts';
import { placeTrained } from '../../method/placement.ts';
import { groupsToTrain, isCoupled } from '../../method/spsft/coupled-rows.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { FLOAT32, type Precision, weightBytes } from '../../model/weight-storage.ts';
import { withoutInitial } from '../../model/weight-stream.ts';
import type { TaskSetup } from '../../objective/task-setup.ts';
import { classBalanceProblem } from '../../protocol/checks/class-balance.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { scoredUnit } from '../../protocol/recipe/rows-budget.ts';
import { createRandom, permutation } from '../../random.ts';
import { type RowsOf, rowBudget, type Scores, type Selection, selectRows } from '../../selection.ts';
import { copiesInMemory, hostFrom, methodSettings } from '../../train/recipe-settings.ts';

/** Random stream that draws the samples; batches and the split use others. */
const SAMPLES = 4;

/** Largest share of the memory left free by the weights that the mean gradients of one sweep of the exact measure may take. */
const SWEEP_SHARE = 0.25;

export interface ComputeScoresParams extends RecipeScope {
  readonly base: Base;
  readonly modules: readonly ModuleSpec[];
  /** The rows or columns of the modules, which are scored and chosen. */
  readonly units: readonly RowsOf[];
  /** How the run stores weights and computes, so that importance fits in memory wherever training does. */
  readonly precision: Precision;
  /** Training data, for measures that need some of its samples. */
  readonly setup?: TaskSetup;
  /** The current weights of the model, if it has been trained: they are scored instead of the base's, and the scores are not cached. */
  readonly trained?: WeightSource;
  /** File that the scores will be saved in; partial scores are stored next to it until then. */
  readonly outputFile: string;
}

export interface ComputedScores extends ModelScores {
  readonly origin: ScoresOrigin;
  /** True if the scores were read from `importance.scores`, not computed now. */
  readonly saved: boolean;
}

/**
 * Scores the rows or columns as the recipe specifies, saves the scores in `outputFile`, and selects.
 * @throws ImportanceError, SelectionError, RunError 'stopped'
 */
export async function chooseRows(params: ComputeScoresParams): Promise<Selection> {
  const { recipe, units, outputFile, job } = params;
  const { origin, saved, ...found } = await computeScores(params);
  if (!saved) await saveScores(outputFile, found, origin, units);
  const settings = methodSettings(recipe);
  const { budget, dependencies } = settings;
  const each = 'r' in budget ? `${budget.r} rows a layer` : `a share of ${budget.ratio} of the rows`;
  if (dependencies) job.log('info', `dependencies: ${each}, half of what the recipe says, and what is coupled to them`);
  else if (isCoupled(settings)) job.log('info', `coupled: ${each}, and the columns that read them`);
  if (settings.heads) job.log('info', describeHeads(units, settings));
  return selectionOf(params, found.scores);
}

function describeHeads(units: readonly RowsOf[], { trains, budget }: MethodSettings): string {
  const withHeads = units.filter(({ block }) => block !== undefined);
  const single = units.length - withHeads.length;
  const counts = [...new Set(withHeads.map(unit => rowBudget(unit, budget) / (unit.block ?? 1)))].sort((a, b) => a - b);
  const each = counts.length > 0 ? ` (${counts.join(' or ')} each, by the budget per layer)` : '';
  const rest = single > 0 ? `; ${single} without heads choose single ${trains === 'columns' ? 'columns' : 'rows'}` : '';
  return `heads: ${withHeads.length} layers choose whole heads${each}${rest}`;
}

/** Returns the rows or columns that these scores select within the recipe's budget. @throws SelectionError */
export function selectionOf(
  { recipe, base, modules, units, setup }: Pick<ComputeScoresParams, 'recipe' | 'base' | 'modules' | 'units' | 'setup'>,
  scores: Scores,
): Selection {
  const settings = methodSettings(recipe);
  const { budget, dependencies } = settings;
  if (!isCoupled(settings)) return selectRows(units, scores, budget, recipe.importance.selection, recipe.importance.min_rows);
  return selectCoupled(groupsToTrain(setup?.model ?? base.model, settings), dependencies ? modules : [], scores, settings);
}

/** Returns the scores that a recipe specifies: from a file, from the cache, or computed. @throws ImportanceError, RunError 'stopped' */
export async function computeScores(params: ComputeScoresParams): Promise<ComputedScores> {
  const { recipe, base, context, job } = params;
  const { measure, scores: file } = recipe.importance;
  if (file !== undefined) {
    job.phase('importance', `reading the scores in ${file}`);
    return { ...(await loadScores(path.resolve(context.baseDir, file), base.fingerprint, scoredUnit(recipe))), saved: true };
  }
  const drawn = params.setup && needsData(measure) ? drawSamples(params.setup.samples, recipe.importance) : [];
  return { ...(await scoreSamples(params, measure, drawn)), saved: false };
}

/** Returns the scores by a measure on these training samples: from the cache, or computed. @throws ImportanceError, RunError 'stopped' */
export async function scoreSamples(
  params: ComputeScoresParams,
  measure: MeasureName,
  samples: readonly number[],
): Promise<ModelScores & { readonly origin: ScoresOrigin }> {
  const { recipe, base, modules, units, job, setup } = params;
  const { seed } = recipe.importance;
  const unit = scoredUnit(recipe);
  const exact = recipe.importance.exact && needsWeightGradients(measure);
  const devices = needsData(measure) && !movesWeights(measure) ? scoringDevices(params) : 1;
  const where = devices > 1 ? ` on ${devices} devices` : '';
  const isChance = measureCatalog[measure].needs === 'nothing';
  job.phase(
    'importance',
    isChance
      ? `choosing ${unit} of ${modules.length} modules at random`
      : `scoring the ${unit} of ${modules.length} modules by ${measure}${where}`,
  );
  const data =
    setup && samples.length > 0
      ? await importanceDataOf({ ...params, setup, precision: scoringPrecision(params.precision, measure) }, samples)
      : undefined;
  const classes = measureCatalog[measure].byClass ? data?.classes : undefined;
  // The user did not choose the other measures of a report, so they cause no warning.
  if (classes && measure === recipe.importance.measure) warnOfBalance(measure, classes, job);
  const cache = data && recipe.importance.cache && !params.trained ? await cacheOf(params, measure, data) : undefined;
  const { ranks } = params;
  const found = !ranks || ranks.isFirst ? await cache?.find() : undefined;
  const known = ranks ? ranks.first(found) : found;
  if (known) {
    job.log('info', `the scores are taken from the cache (${cache?.file}); importance.cache=false computes them anew`);
    return known;
  }
  const origin: ScoresOrigin = {
    measure,
    base: base.fingerprint,
    seed,
    samples: data ? samples.length : 0,
    exact,
    ...(unit === 'columns' && { unit }),
    classes: classes?.names.map((name, label) => ({ name, samples: classes.counts[label] ?? 0 })),
  };
  const scored = await score(params, origin, { measure, data, cache });
  if (!ranks || ranks.isFirst) await cache?.keep(scored, origin, units);
  return { ...scored, origin };
}

async function score(
  params: ComputeScoresParams,
  origin: ScoresOrigin,
  { measure, data, cache }: { readonly measure: MeasureName; readonly data?: ImportanceData; readonly cache?: ScoreCache },
): Promise<ModelScores> {
  const { recipe, base, modules, units, job, trained } = params;
  const { seed } = recipe.importance;
  const model = params.setup?.model ?? base.model;
  const partial = partialScores(params.outputFile, units, origin);
  let report: ((done: number) => void) | undefined;
  try {
    return await scoreModel({
      measure,
      model: trained ? withoutInitial(model) : model,
      modules,
      unit: scoredUnit(recipe),
      weights: trained ?? base.folder.weights,
      seed,
      data,
      // The unfinished work of several processes is neither shown nor resumed; several devices take the batches in a different order.
      ...(params.ranks ? {} : { partial }),
      ...(params.ranks || (data?.devices ?? 1) > 1 ? {} : { unfinished: cache?.unfinished }),
      isCanceled: () => job.stop !== undefined,
      onProgress: (done, total, unit) => {
        if (!report && done > 0) job.log('info', `${done} of ${total} batches were done before`);
        report ??= job.progress('importance', total, unit, done);
        report(done);
      },
    });
  } catch (error) {
    job.checkStop();
    throw error;
  } finally {
    await partial.remove();
  }
}

async function cacheOf(
  { recipe, base, units, context, setup, precision }: ComputeScoresParams,
  measure: MeasureName,
  data: ImportanceData,
): Promise<ScoreCache> {
  const model = setup?.model ?? base.model;
  return openScoreCache(context.cacheDir, {
    measure,
    base: base.fingerprint,
    data: await batchesFingerprint(data.source, data.classes?.of),
    exact: recipe.importance.exact && needsWeightGradients(measure),
    modules: units.map(({ name, weight, unit }) => (unit ? [name, weight.shape, unit] : [name, weight.shape])),
    initial: model.parameters.flatMap(({ name, initial }) => (initial ? [[name, initial]] : [])),
    engine: base.engine.description.name,
    precision: scoringPrecision(precision, measure),
    ...(movesWeights(measure) && { stepSize: MOVEMENT_STEP }),
  });
}

function warnOfBalance(measure: MeasureName, { names, counts }: ClassesOfSamples, job: Job): void {
  const problem =
    measureCatalog[measure].needsBalancedLabels && classBalanceProblem(Object.fromEntries(names.map((name, i) => [name, counts[i] ?? 0])));
  if (problem) job.log('warning', problem);
  const missing = names.filter((_, i) => counts[i] === 0);
  const shown = `${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}`;
  if (missing.length > 0) job.log('warning', `none of the samples that the measure looks at is of ${shown}; raise importance.samples`);
}

/** Returns the samples that a measure uses: drawn by the seed, in data order. */
export const drawSamples = (count: number, { samples, seed }: Recipe['importance']): number[] =>
  [...permutation(count, createRandom(seed, SAMPLES)).slice(0, samples)].sort((a, b) => a - b);

/** Returns the data and the programs of a measure for these training samples. @param precision how importance stores the weights */
export async function importanceDataOf(
  {
    recipe,
    base,
    setup,
    precision,
    ranks,
    context,
  }: Pick<ComputeScoresParams, 'recipe' | 'base' | 'precision' | 'ranks' | 'context'> & { readonly setup: TaskSetup },
  samples: readonly number[],
): Promise<ImportanceData> {
  const { storage, hosted } = placeTrained(UNTRAINED, setup.model, precision, hostFrom(recipe, { engine: base.engine.description.name }));
  const devices = scoringDevices({ recipe, base });
  const sharers = (context.rank?.localSize ?? 1) * copiesInMemory({ processes: 1, devices }, base.engine.description);
  return {
    engine: base.engine,
    task: setup.task,
    source: await setup.sourceOf(samples, recipe.importance.batch_size),
    recompute: recipe.recompute === 'auto' ? 'cheap' : recipe.recompute,
    exact: recipe.importance.exact,
    stepSize: MOVEMENT_STEP,
    ranks,
    devices,
    sweepBytes: leastOf(ranks, SWEEP_SHARE * (availableMemoryBytes() / sharers - weightBytes(setup.model, storage))),
    classes: classesOf(setup, samples),
    storage,
    hosted,
  };
}

/** Returns the number of devices that share a pass over the data: the run's, or fewer if a job that only scores can use fewer. */
const scoringDevices = ({ recipe, base }: Pick<ComputeScoresParams, 'recipe' | 'base'>): number =>
  Math.min(recipe.devices, base.engine.devices ?? 1);

/** Returns the smallest value of all processes: they must divide what they sum in the same way. */
const leastOf = (ranks: Ranks | undefined, own: number): number => Math.min(...(ranks?.all(own) ?? [own]));

const UNTRAINED: Attachment = { method: 'full', trainables: [], initial: () => [] };

/** Returns the precision for a measure on a model that is trained with the given one: quantized weights have no gradient. */
const scoringPrecision = (precision: Precision, measure: MeasureName): Precision =>
  movesWeights(measure) ? FLOAT32 : needsWeightGradients(measure) ? { ...precision, quantize: 'none' } : precision;

function classesOf({ labels, labelOf }: TaskSetup, samples: readonly number[]): ClassesOfSamples | undefined {
  if (labels.length === 0) return undefined;
  const counts = labels.map(() => 0);
  const of = (sample: number): number => labelOf(samples[sample] ?? -1);
  for (const sample of samples.keys()) {
    const label = of(sample);
    if (label >= 0) counts[label] = (counts[label] ?? 0) + 1;
  }
  return { names: labels, of, counts };
}
