/** Single elements of weights, trained in place: how many a method trains, and how they are attached. */
import { type MethodName, methodCatalog } from '../catalog/methods.ts';
import { elementCount } from '../graph/types.ts';
import { expertsOf, type ModuleSpec } from '../model/module-specs.ts';
import { createRandom, drawn, hashSeed } from '../random.ts';
import type { Selection } from '../selection.ts';
import type { MethodSettings, Trainable } from './method.ts';
import { TargetError } from './targets.ts';

/** A share of the elements of each weight, or as many elements as two low-rank factors of this rank have. */
export type ElementBudget = { readonly share: number } | { readonly rank: number };

/** The budget of a method that chooses elements. */
export const elementBudget = (method: MethodName, { sparseRatio, rank }: Pick<MethodSettings, 'sparseRatio' | 'rank'>): ElementBudget =>
  methodCatalog[method].elements?.counts === 'rank' ? { rank } : { share: sparseRatio };

/** Trains these elements of a module's weight. */
export function elementsTrainable({ name, weight }: ModuleSpec, selection: Selection): Trainable {
  const indices = selection.get(name);
  if (!indices) throw new Error(`no elements were chosen for ${name}`);
  return {
    name: weight.name,
    variable: { name: weight.name, shape: weight.shape, dtype: 'float32' },
    elements: { variable: { name: `${name}.elements`, shape: [indices.length], dtype: 'int32' }, indices },
    shape: [indices.length],
  };
}

/**
 * The number of elements of each module that a budget covers, at least one.
 * @throws TargetError that names the modules with fewer elements
 */
export function elementCounts(modules: readonly ModuleSpec[], budget: ElementBudget): ReadonlyMap<string, number> {
  const counts = new Map(modules.map(module => [module.name, paidElements(module, budget)]));
  const small = modules.filter(({ name, weight }) => (counts.get(name) ?? 0) > elementCount(weight.shape));
  if (small.length > 0 && 'rank' in budget) {
    const shown = small.slice(0, 3).map(module => `${module.name} (${elementCount(module.weight.shape)} elements)`);
    const most = Math.min(...small.map(mostElementsRank));
    throw new TargetError(
      `r ${budget.rank} asks for more elements than ${small.length} ${small.length === 1 ? 'layer has' : 'layers have'}: ${shown.join(', ')}${small.length > 3 ? ', …' : ''}; ${most > 0 ? `set r to ${most} or less, or leave` : 'leave'} these layers out of target_modules`,
    );
  }
  return counts;
}

const paidElements = (module: ModuleSpec, budget: ElementBudget): number =>
  'share' in budget ? Math.max(1, Math.round(budget.share * elementCount(module.weight.shape))) : budget.rank * elementsOfRank(module);

/** The number of elements of two factors of rank 1: a row and a column of the weight, per expert. */
function elementsOfRank(module: ModuleSpec): number {
  const [out = 0, ...rest] = module.weight.shape;
  return out + expertsOf(module) * elementCount(rest);
}

/** The highest rank whose factors have no more elements than the weight; 0 if one row and one column already have more. */
export const mostElementsRank = (module: ModuleSpec): number => Math.floor(elementCount(module.weight.shape) / elementsOfRank(module));

/** The first elements that the budget covers: enough to know sizes. All are views of one array. */
export function firstElements(modules: readonly ModuleSpec[], budget: ElementBudget): Selection {
  const counts = elementCounts(modules, budget);
  const first = Int32Array.from({ length: Math.max(0, ...counts.values()) }, (_, i) => i);
  return new Map([...counts].map(([name, count]) => [name, first.subarray(0, count)]));
}

/** Elements drawn at random. Each module has its own stream, so that its draw does not depend on other modules. */
export function randomElements(modules: readonly ModuleSpec[], budget: ElementBudget, seed: number): Selection {
  const counts = elementCounts(modules, budget);
  return new Map(
    modules.map(({ name, weight }) => [
      name,
      drawn(counts.get(name) ?? 0, elementCount(weight.shape), createRandom(hashSeed(seed, `${name}.elements`))),
    ]),
  );
}
