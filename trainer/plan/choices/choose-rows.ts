/** Importance and selection: which rows or columns of which modules are trained, from saved scores or by computing them. */

import path from 'node:path';
import { type MeasureName, measureCatalog, movesWeights, needsData, needsWeightGradients } from '../../catalog/measures.ts';
import { selectCoupled } from '../../coupling/coupling.ts';
import { byteSize } from '../../graph/types.ts';
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
import type { Model } from '../../model/model-spec.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { FLOAT32, FLOAT32_STORAGE, type Precision, type WeightStorage } from '../../model/weight-storage.ts';
import { withoutInitial } from '../../model/weight-stream.ts';
import type { TaskSetup } from '../../objective/task-setup.ts';
import { classBalanceProblem } from '../../protocol/checks/class-balance.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { scoredUnit } from '../../protocol/recipe/rows-budget.ts';
import { createRandom, permutation } from '../../random.ts';
import { type RowsOf, rowBudget, type Scores, type Selection, selectRows } from '../../selection.ts';
import { copiesInMemory, hostFrom, methodSettings } from '../../train/recipe-settings.ts';

/** The stream of random numbers that draws the samples; batches and the split take others. */
const SAMPLES = 4;

/** The mean gradients of one sweep of the exact measure may take this share of the memory that the weights leave free. */
const SWEEP_SHARE = 0.25;

export interface ComputeScoresParams extends RecipeScope {
  readonly base: Base;
  readonly modules: readonly ModuleSpec[];
  /** Their rows, or their columns: what is scored and chosen. */
  readonly units: readonly RowsOf[];
  /** How the run holds weights and computes: importance fits where training does. */
  readonly precision: Precision;
  /** The measures that need data look at some of its training samples. */
  readonly setup?: TaskSetup;
  /** The weights of the model as it is now, where it has been trained: they are scored in place of the base's, and not kept in the cache. */
  readonly trained?: WeightSource;
  /** The file that they will be saved in; partial scores lie next to it until then. */
  readonly outputFile: string;
}

export interface ComputedScores extends ModelScores {
  readonly origin: ScoresOrigin;
  /** Read from `importance.scores`, not computed now. */
  readonly saved: boolean;
}

/** Scores the rows or columns as the recipe asks, keeps the scores in `outputFile`, and chooses. @throws ImportanceError, SelectionError, RunError 'stopped' */
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

/** The rows or columns that these scores choose by the recipe's budget. @throws SelectionError */
export function selectionOf(
  { recipe, base, modules, units, setup }: Pick<ComputeScoresParams, 'recipe' | 'base' | 'modules' | 'units' | 'setup'>,
  scores: Scores,
): Selection {
  const settings = methodSettings(recipe);
  const { budget, dependencies } = settings;
  if (!isCoupled(settings)) return selectRows(units, scores, budget, recipe.importance.selection, recipe.importance.min_rows);
  return selectCoupled(groupsToTrain(setup?.model ?? base.model, settings), dependencies ? modules : [], scores, settings);
}

/** The scores that a recipe asks for: from a file, from the cache, or computed. @throws ImportanceError, RunError 'stopped' */
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

/** The scores by a measure on these training samples: from the cache, or computed. @throws ImportanceError, RunError 'stopped' */
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
  // Other measures of a report were not asked for.
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
      // What several processes have done by halves is not shown, and not continued; several devices take the batches in another order.
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

/** The samples that a measure looks at: drawn by the seed, in the order of their places. */
export const drawSamples = (count: number, { samples, seed }: Recipe['importance']): number[] =>
  [...permutation(count, createRandom(seed, SAMPLES)).slice(0, samples)].sort((a, b) => a - b);

/** The data and the programs of a measure, for these training samples. @param precision how importance holds the weights */
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

/** The devices that divide a pass over the data: those of the run, or fewer where a job for scores alone reaches fewer. */
const scoringDevices = ({ recipe, base }: Pick<ComputeScoresParams, 'recipe' | 'base'>): number =>
  Math.min(recipe.devices, base.engine.devices ?? 1);

/** The smallest value of all processes: what they sum has to be cut in the same way. */
const leastOf = (ranks: Ranks | undefined, own: number): number => Math.min(...(ranks?.all(own) ?? [own]));

const UNTRAINED: Attachment = { method: 'full', trainables: [], initial: () => [] };

/** The precision in which a measure looks at a model that is trained in this one: quantized weights have no gradient of their own. */
const scoringPrecision = (precision: Precision, measure: MeasureName): Precision =>
  movesWeights(measure) ? FLOAT32 : needsWeightGradients(measure) ? { ...precision, quantize: 'none' } : precision;

const weightBytes = ({ parameters }: Model, storage: WeightStorage = FLOAT32_STORAGE): number =>
  parameters.flatMap(spec => storage.variables(spec)).reduce((sum, variable) => sum + byteSize(variable), 0);

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
