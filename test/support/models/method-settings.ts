/** Settings of methods for tests, and a selection of rows or elements that needs no data. */

import { type MethodName, methodCatalog } from '../../../trainer/catalog/methods.ts';
import { selectCoupled } from '../../../trainer/coupling/coupling.ts';
import { elementBudget, randomElements } from '../../../trainer/method/elements.ts';
import type { MethodSettings } from '../../../trainer/method/method.ts';
import { groupsToTrain, isCoupled } from '../../../trainer/method/spsft/coupled-rows.ts';
import { targetsByUnit, unitsOf } from '../../../trainer/method/spsft/targets.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import type { Model } from '../../../trainer/model/model-spec.ts';
import { createRandom, hashSeed, permutation } from '../../../trainer/random.ts';
import { type Selection, selectRows } from '../../../trainer/selection.ts';

export const settingsOf = (changes: Partial<MethodSettings> = {}): MethodSettings => ({
  targetModules: ['all-linear'],
  freeze: [],
  modulesToSave: [],
  budget: { r: 4 },
  trains: 'rows',
  rank: 4,
  sparseRatio: 0.1,
  loraAlpha: 8,
  loraPlusRatio: 1,
  loraDropout: 0,
  loraStart: 'kaiming',
  vera: { projectionKey: 0, dInitial: 0.1 },
  seed: 3,
  ...changes,
});

/** Selects rows, columns and elements scattered over each weight; always the same ones. */
export function scattered(model: Model, method: MethodName, settings: MethodSettings): Selection {
  const { chooses } = methodCatalog[method];
  if (chooses === 'nothing') return new Map();
  if (chooses === 'elements') return randomElements(targetModules(model, settings), elementBudget(method, settings), 1);
  const modules = targetsByUnit(model, settings);
  const units = unitsOf(modules, settings);
  const orderOf = (name: string, count: number) => permutation(count, createRandom(hashSeed(1, name)));
  const scores = new Map(units.map(({ name, weight }) => [name, Float32Array.from(orderOf(name, weight.shape[0] as number))]));
  if (isCoupled(settings)) return selectCoupled(groupsToTrain(model, settings), settings.dependencies ? modules : [], scores, settings);
  return selectRows(units, scores, settings.budget);
}
