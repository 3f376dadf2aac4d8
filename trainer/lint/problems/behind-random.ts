/** Measures whose rows performed clearly worse than random rows on a kind of model. */
import { defaultMeasure, measureCatalog } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';

const isImageTransformer = (model: AnyModel): boolean =>
  model.kind === 'classifier' && model.input.kind === 'image' && model.modules.some(({ part }) => part === 'attention');

/** The study's advice about this recipe's measure; undefined if there is none. */
export function worseThanRandom(model: AnyModel, { method, importance }: Pick<Recipe, 'method' | 'importance'>): string | undefined {
  const { measure, scores } = importance;
  if (methodCatalog[method].chooses !== 'rows' || scores !== undefined) return undefined;
  return measureCatalog[measure].isWorseThanRandomOnImages && isImageTransformer(model)
    ? `on the vision transformer of our study, rows chosen by '${measure}' were clearly worse than random rows; by '${defaultMeasure}' they were better`
    : undefined;
}
