/** Methods beside each other: the settings at which one trains about as many numbers as another. */
import { type MethodName, type MethodSettings, trainableCount } from '../method/method.ts';
import { methods } from '../method/methods.ts';
import { firstElements } from '../method/rosa.ts';
import { targetModules } from '../method/targets.ts';
import type { Model } from '../model/model-spec.ts';
import type { Budget } from '../selection.ts';
import { firstRows } from '../selection.ts';

/** Shares of rows and elements of the methods that have both a product and something beside it: their defaults. */
const BESIDE = { ratio: 0.02, sparseRatio: 0.006 } as const;

/** VeRA's rank hardly changes its number of trained parameters: its default. */
const VERA_RANK = 256;

/**
 * The settings of a method whose trained parameters come nearest to `trainable`: the rank, or rows a layer, at least 1 and at most what
 * the smallest layer has. Methods without such a number keep the settings.
 */
export function nearestSettings(model: Model, method: MethodName, like: MethodSettings, trainable: number): MethodSettings {
  switch (method) {
    case 'full':
    case 'head':
    case 'bitfit':
      return like;
    case 'vera':
      return { ...like, rank: VERA_RANK };
    case 'spsft': {
      const at = (r: number): MethodSettings => ({ ...like, budget: { r } });
      return at(nearest(model, method, at, trainable, mostRows(model, like)));
    }
    case 'lora':
    case 'dora':
    case 'rosa':
    case 'spsft+lora': {
      const budget: Budget = method === 'spsft+lora' && !('ratio' in like.budget) ? { ratio: BESIDE.ratio } : like.budget;
      const at = (rank: number): MethodSettings => ({ ...like, budget, sparseRatio: like.sparseRatio || BESIDE.sparseRatio, rank });
      return at(nearest(model, method, at, trainable, mostRank(model, like)));
    }
  }
}

/** The count is linear in the rank: two points tell the line. */
function nearest(model: Model, method: MethodName, at: (r: number) => MethodSettings, trainable: number, most: number): number {
  if (most < 2) return 1;
  const [one, two] = [countOf(model, method, at(1)), countOf(model, method, at(2))];
  return Math.min(most, Math.max(1, 1 + Math.round((trainable - one) / (two - one))));
}

function countOf(model: Model, method: MethodName, settings: MethodSettings): number {
  const modules = targetModules(model, settings);
  const { attach, chooses } = methods[method];
  const selection =
    chooses === 'rows'
      ? firstRows(modules, settings.budget)
      : chooses === 'elements'
        ? firstElements(modules, settings.sparseRatio)
        : new Map();
  return trainableCount(attach(model, settings, selection));
}

const mostRows = (model: Model, settings: MethodSettings): number =>
  Math.min(...targetModules(model, settings).map(({ weight }) => weight.shape[0] as number));

const mostRank = (model: Model, settings: MethodSettings): number =>
  Math.min(
    ...targetModules(model, settings).map(({ weight: { shape } }) =>
      Math.min(
        shape[0] as number,
        shape.slice(1).reduce((n, d) => n * d, 1),
      ),
    ),
  );
