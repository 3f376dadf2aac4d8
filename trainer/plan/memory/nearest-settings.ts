/** Makes methods comparable: finds the settings at which one trains about as many parameters as another. */

import { type MethodName, methodCatalog } from '../../catalog/methods.ts';
import { mostElementsRank } from '../../method/elements.ts';
import { type MethodSettings, trainableCount } from '../../method/method.ts';
import { targetsByUnit, unitsOf } from '../../method/spsft/targets.ts';
import { targetModules } from '../../method/targets.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { required } from '../../narrow.ts';
import { recipeFields } from '../../protocol/recipe/recipe-schema.ts';
import type { Budget } from '../../selection.ts';
import { attachFirst } from '../run-plan.ts';

/** The default fraction of elements for a method that trains elements in addition to its low-rank product. */
const SPARSE_RATIO = required(recipeFields.sparse_ratio.fixedDefault, 'the default of sparse_ratio');

/**
 * Returns the settings of a method whose number of trained parameters is closest to `trainable`: the rank, or rows or columns per layer, at
 * least 1 and at most what the smallest layer has. Methods without such a setting keep theirs.
 */
export function nearestSettings(model: AnyModel, method: MethodName, given: MethodSettings, trainable: number): MethodSettings {
  const { r, ratio, lowRank, elements, trainsColumns, hasDependencies } = methodCatalog[method];
  const like: MethodSettings = {
    ...given,
    trains: trainsColumns ? given.trains : 'rows',
    dependencies: hasDependencies && given.dependencies === true,
  };
  if (r === undefined) return like;
  // The rank barely affects the number of trained vectors.
  if (lowRank === 'vectors') return { ...like, rank: r.fallback };
  if (r.counts === 'rows') {
    const at = (rows: number): MethodSettings => ({ ...like, budget: { r: rows } });
    const step = largestBlock(model, like);
    const inSteps = (count: number): MethodSettings => at(count * step);
    return inSteps(nearest(model, method, inSteps, trainable, Math.floor(mostRows(model, like) / step)));
  }
  const budget: Budget = ratio !== undefined && !('ratio' in like.budget) ? { ratio } : like.budget;
  const at = (rank: number): MethodSettings => ({ ...like, budget, sparseRatio: like.sparseRatio || SPARSE_RATIO, rank });
  return at(nearest(model, method, at, trainable, elements?.counts === 'rank' ? mostAsElements(model, like) : mostRank(model, like)));
}

/** Returns the rank or row count. The parameter count is linear in it, so two points determine the line. */
function nearest(model: AnyModel, method: MethodName, at: (r: number) => MethodSettings, trainable: number, most: number): number {
  if (most < 2) return 1;
  const [one, two] = [countOf(model, method, at(1)), countOf(model, method, at(2))];
  return Math.min(most, Math.max(1, 1 + Math.round((trainable - one) / (two - one))));
}

const countOf = (model: AnyModel, method: MethodName, settings: MethodSettings): number =>
  trainableCount(attachFirst(model, method, settings));

const mostRows = (model: AnyModel, settings: MethodSettings): number =>
  Math.min(...unitsOf(targetsByUnit(model, settings), settings).map(({ weight }) => weight.shape[0] as number));

/** Returns the rows of the largest head if heads are chosen, which is then the smallest increment of the count; otherwise 1. */
const largestBlock = (model: AnyModel, settings: MethodSettings): number =>
  Math.max(1, ...unitsOf(targetsByUnit(model, settings), settings).map(({ block = 1 }) => block));

const mostAsElements = (model: AnyModel, settings: MethodSettings): number =>
  Math.max(1, Math.min(...targetModules(model, settings).map(mostElementsRank)));

const mostRank = (model: AnyModel, settings: MethodSettings): number =>
  Math.min(
    ...targetModules(model, settings).map(({ weight: { shape } }) =>
      Math.min(
        shape[0] as number,
        shape.slice(1).reduce((n, d) => n * d, 1),
      ),
    ),
  );
