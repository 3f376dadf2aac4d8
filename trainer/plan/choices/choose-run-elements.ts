/** Chooses the single elements of the targeted weights to train: at random, or by gradients over some training samples. */
import { choosesByGradients, methodCatalog } from '../../catalog/methods.ts';
import { chooseElements } from '../../importance/choose-elements.ts';
import { elementBudget, elementCounts, randomElements } from '../../method/elements.ts';
import { valueFor } from '../../narrow.ts';
import { RunError } from '../../run-error.ts';
import type { Selection } from '../../selection.ts';
import { methodSettings } from '../../train/recipe-settings.ts';
import { type ComputeScoresParams, drawSamples, importanceDataOf } from './choose-rows.ts';

/**
 * Returns the chosen elements.
 * @throws TargetError if a module has too few elements; RunError if there is no training data for gradients, or 'stopped'
 */
export async function chooseElementsFor(params: Omit<ComputeScoresParams, 'outputFile'>): Promise<Selection> {
  const { recipe, modules } = params;
  const budget = elementBudget(recipe.method, methodSettings(recipe));
  if (choosesByGradients(methodCatalog[recipe.method])) return chooseByGradients(params, elementCounts(modules, budget));
  return randomElements(modules, budget, recipe.importance.seed);
}

async function chooseByGradients(params: Omit<ComputeScoresParams, 'outputFile'>, counts: ReadonlyMap<string, number>): Promise<Selection> {
  const { recipe, base, modules, setup, job } = params;
  if (!setup || setup.samples === 0)
    throw new RunError('no-data', 'rosa chooses its elements by gradients, and there is no training data', "Give 'data.train'");
  const samples = drawSamples(setup.samples, recipe.importance);
  job.phase(
    'importance',
    `choosing ${100 * recipe.sparse_ratio}% of the elements of ${modules.length} modules by their gradients over ${samples.length} samples`,
  );
  let report: ((done: number) => void) | undefined;
  try {
    return await chooseElements({
      modules,
      weights: base.folder.weights,
      budgetOf: ({ name }) => valueFor(counts, name),
      data: await importanceDataOf({ ...params, setup, precision: { ...params.precision, quantize: 'none' } }, samples),
      isCanceled: () => job.stop !== undefined,
      onProgress: (done, total, unit) => {
        report ??= job.progress('importance', total, unit, done);
        report(done);
      },
    });
  } catch (error) {
    job.checkStop();
    throw error;
  }
}
