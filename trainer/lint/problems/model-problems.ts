/** Problems of a recipe that depend on its model: supported tasks, trainable modules, and the maximum length of its inputs. */

import { didYouMean } from '../../catalog/did-you-mean.ts';
import { orList } from '../../catalog/entries.ts';
import { defaultMeasure } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { comparesTexts, objectivesOf } from '../../catalog/objectives.ts';
import type { MethodSettings } from '../../method/method.ts';
import { targetsByUnit, unitsOf } from '../../method/spsft/targets.ts';
import { matchesAny, moduleNames, TargetError, type TargetSettings, targetModules } from '../../method/targets.ts';
import { type AnyModel, type Model, takesSize } from '../../model/model-spec.ts';
import type { ModuleSpec } from '../../model/module-specs.ts';
import { attachFirst } from '../../plan/run-plan.ts';
import type { ParsedRecipe } from '../../protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { SelectionError } from '../../selection.ts';
import { methodSettings } from '../../train/recipe-settings.ts';
import { type ModelFacts, positionsOf } from '../facts/model-facts.ts';
import { tasksOf } from '../facts/tasks-of-model.ts';
import { idsWithoutRow } from '../facts/vocabulary.ts';
import type { RecipeView } from '../recipe-view.ts';
import { worseThanRandom } from './behind-random.ts';
import type { Report } from './fact-report.ts';
import { mostRank } from './most-rank.ts';
import { unusable } from './unusable-model.ts';

export function* modelProblems({ model, values, parsed }: Pick<RecipeView, 'model' | 'values' | 'parsed'>): Generator<Report> {
  if (model === undefined) return;
  if (model.kind !== 'ready') yield unusable(model, values.model ?? '', ['model']);
  else {
    yield* taskProblems(model.model, isRefused(parsed, 'task') ? undefined : values.task);
    if (comparesTexts(values.task) && model.vectors !== undefined && 'refused' in model.vectors)
      yield { code: 'task-for-model', path: ['model'], message: `the model's vectors are not computed here: ${model.vectors.refused}` };
    if (model.noTokenizer !== undefined) yield { code: 'no-tokenizer', path: ['model'], message: model.noTokenizer };
    yield* vocabularyProblems(model);
    yield* imageProblems(model.model, values.data.image_size);
    yield* targetProblems(model.model, values);
    const behind = worseThanRandom(model.model, values);
    if (behind !== undefined)
      yield {
        code: 'measure-behind-random',
        severity: 'info',
        path: ['importance', 'measure'],
        message: behind,
        replaceBy: defaultMeasure,
      };
    const maxPositions = positionsOf(model.model);
    if (maxPositions !== undefined && values.max_length > maxPositions)
      yield {
        code: 'length-above-positions',
        path: ['max_length'],
        message: `max_length (${values.max_length}) is larger than the model's ${maxPositions} positions`,
        replaceBy: String(maxPositions),
      };
  }
}

/** @param task undefined if the recipe names none that exists, so that there is nothing to compare with the model */
function* taskProblems(model: AnyModel, task: Recipe['task'] | undefined): Generator<Report> {
  const at = { code: 'task-for-model', path: ['task'], replaceBy: tasksOf(model)[0] } as const;
  if (task === undefined) {
    yield { ...at, severity: 'info', message: `this ${model.family} model can be tuned for ${orList(tasksOf(model))}` };
    return;
  }
  const message = taskProblem(model, task);
  if (message !== undefined) yield { ...at, message };
}

/** True if the recipe has a value of a setting that cannot be used, so that its default stands in the values. */
const isRefused = ({ problems }: ParsedRecipe, setting: string): boolean =>
  problems.some(({ severity, path }) => severity === 'error' && path[0] === setting);

/** Returns why a model cannot be tuned for a task, with the tasks that are possible; undefined if it can. */
export function taskProblem(model: AnyModel, task: Recipe['task']): string | undefined {
  const tasks = tasksOf(model);
  if (tasks.includes(task)) return undefined;
  return `this ${model.family} model ${whatItDoes(model, task)} and can't be tuned for ${task}; use ${orList(tasks)}`;
}

function whatItDoes(model: AnyModel, task: Recipe['task']): string {
  if (model.kind !== 'causal') return model.input.kind === 'image' ? 'looks at images' : 'reads texts whole';
  const hasNoHead = objectivesOf('causal', 'texts').includes(task);
  return hasNoHead ? 'takes no head for whole texts' : 'predicts the next token';
}

/** Problems of the vocabulary. Ids of added tokens alone are not a problem: the data may not use them. */
function* vocabularyProblems({ model, vocabulary }: Extract<ModelFacts, { kind: 'ready' }>): Generator<Report> {
  const rows = model.kind === 'causal' ? model.vocabularySize : model.input.kind === 'tokens' ? model.input.vocabularySize : undefined;
  const problem = rows === undefined || vocabulary === undefined ? undefined : idsWithoutRow(vocabulary, rows);
  if (problem !== undefined && problem.severity === undefined)
    yield { code: 'vocabulary-mismatch', severity: 'warning', path: ['model'], message: problem.message };
}

function* imageProblems(model: AnyModel, size: number | undefined): Generator<Report> {
  if (size === undefined || model.kind !== 'classifier' || model.input.kind !== 'image' || takesSize(model.input, size)) return;
  const { height, width } = model.input;
  const message = `this model only takes images of ${height} × ${width}; delete image_size, which is for convolutional networks`;
  yield { code: 'image-size', path: ['data', 'image_size'], message, replaceBy: String(height) };
}

function* targetProblems(model: AnyModel, values: RecipeView['values']): Generator<Report> {
  const idle = [
    ...unmatched(model, 'target_modules', values.target_modules),
    ...unmatched(model, 'modules_to_save', values.modules_to_save),
  ];
  yield* idle;
  if (idle.length > 0) return;
  const { target_modules: targetModules, freeze, method } = values;
  // A method that trains only the head or the biases needs no targets; other requirements are checked below.
  const modules = methodCatalog[method].targets === 'required' ? matches(model, { targetModules, freeze }) : [];
  if (modules === undefined) {
    const message = `nothing is left to train: freeze [${freeze.join(', ')}] covers every target`;
    yield { code: 'nothing-to-train', path: ['freeze'], message };
    return;
  }
  const rank = [...rankProblems(model, modules, values)];
  yield* rank;
  yield* headProblems(model, values);
  const reason = rank.length === 0 ? whyNotAttached(model, values) : undefined;
  if (reason !== undefined) yield { code: 'nothing-to-train', path: ['method'], message: reason };
}

/** Names that stand for modules whose names differ from model to model. */
const WORDS = { target_modules: ['all-linear'], modules_to_save: ['all-linear', 'head'] } as const;

function* unmatched(model: Model, setting: 'target_modules' | 'modules_to_save', entries: readonly string[]): Generator<Report> {
  const names = [...moduleNames(model), ...WORDS[setting]];
  for (const [i, entry] of entries.entries()) {
    if ((setting === 'modules_to_save' && entry === 'head') || matchesAny(model, entry)) continue;
    const near = didYouMean(entry, names);
    const hint = near === undefined ? `; its modules are ${names.join(', ')}` : `; did you mean '${near}'?`;
    const message = `'${entry}' matches nothing in this ${model.family}${hint}`;
    yield { code: 'unknown-module', path: [setting, i], message, replaceBy: near };
  }
}

function* rankProblems(model: Model, modules: readonly ModuleSpec[], values: RecipeView['values']): Generator<Report> {
  const { method, r, ratio } = values;
  const { lowRank, r: counted } = methodCatalog[method];
  const isRank = lowRank === 'factors';
  if (r === undefined || !(isRank || (counted?.counts === 'rows' && ratio === undefined))) return;
  const settings = methodSettings(values);
  const { budget, dependencies, trains } = settings;
  const wanted = !isRank && 'r' in budget ? budget.r : r;
  const limits = isRank
    ? modules.map(({ name, weight: { shape } }) => ({ name, most: mostRank(shape) }))
    : unitsOf(chosenFrom(model, settings), settings).map(({ name, weight: { shape } }) => ({ name, most: shape[0] ?? 0 }));
  const small = limits.filter(({ most }) => most < wanted);
  // With dependencies, half of r is rows.
  const fewest = Math.min(...small.map(({ most }) => most)) * (dependencies ? 2 : 1);
  const [first] = small;
  if (first === undefined) return;
  const what = isRank ? 'the rank that a weight can have' : `the ${trains === 'columns' ? 'columns' : 'rows'}`;
  const half = dependencies ? ` (with dependencies ${wanted} rows)` : '';
  const message = `r is ${r}${half}, more than ${what} of ${small.length} ${small.length === 1 ? 'layer' : 'layers'}, for example ${first.name} (${first.most}); at most ${fewest} fits all`;
  yield { code: 'rank-above-layer', severity: isRank ? 'warning' : 'error', path: ['r'], message, replaceBy: String(fewest) };
}

/** Returns the largest `r` that a run accepts; undefined if no trained layer has fewer rows or columns than the recipe's own value. */
export function fittingBudget(model: AnyModel, values: RecipeView['values']): number | undefined {
  const found = [...targetProblems(model, values)].find(({ code, severity }) => code === 'rank-above-layer' && severity === 'error');
  return found?.replaceBy === undefined ? undefined : Number(found.replaceBy);
}

/** Problems of `importance.heads`: no heads to choose, or a budget below one head. */
function* headProblems(model: Model, values: RecipeView['values']): Generator<Report> {
  const settings = methodSettings(values);
  if (!settings.heads) return;
  const targets = chosenFrom(model, settings);
  if (targets.length === 0) return;
  const sizes = unitsOf(targets, settings).flatMap(({ block }) => block ?? []);
  if (sizes.length === 0) {
    const message = `none of the ${targets.length} targeted layers of this ${model.family} has heads of attention to choose: single ${settings.trains === 'columns' ? 'columns' : 'rows'} are chosen`;
    yield { code: 'no-heads', severity: 'warning', path: ['importance', 'heads'], message, replaceBy: 'false' };
    return;
  }
  const { budget } = settings;
  const most = Math.max(...sizes);
  if (!('r' in budget) || Math.round(budget.r / most) >= 1) return;
  const message = `r is ${budget.r}, and a head has ${most} ${settings.trains === 'columns' ? 'columns' : 'rows'}: each of ${sizes.length} layers trains a whole head`;
  yield { code: 'budget-below-head', severity: 'info', path: ['r'], message, replaceBy: String(most) };
}

/** The modules to choose from; none if the method does not fit, which is reported separately. */
function chosenFrom(model: Model, settings: MethodSettings): readonly ModuleSpec[] {
  try {
    return targetsByUnit(model, settings);
  } catch (error) {
    if (error instanceof TargetError) return [];
    throw error;
  }
}

/** The method's reason for not fitting this model. */
function whyNotAttached(model: AnyModel, values: RecipeView['values']): string | undefined {
  try {
    attachFirst(model, values.method, methodSettings(values));
    return undefined;
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError) return error.message;
    throw error;
  }
}

function matches(model: Model, settings: Pick<TargetSettings, 'targetModules' | 'freeze'>): readonly ModuleSpec[] | undefined {
  try {
    return targetModules(model, settings);
  } catch (error) {
    if (error instanceof TargetError) return undefined;
    throw error;
  }
}
