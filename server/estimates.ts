/** Memory estimates of recipes, computed while nobody types and kept until something changes that they depend on. */

import { estimateRecipe, type RecipeEstimate } from '../trainer/memory/predict.ts';
import { TargetError } from '../trainer/method/targets.ts';
import { ModelConfigError } from '../trainer/model/model-spec.ts';
import { SelectionError } from '../trainer/selection.ts';
import type { RecipeView } from './recipe-view.ts';

/** As a run does: the rest is for the system and for other programs. */
const USABLE_SHARE = 0.5;
/** Free memory changes all the time; the level of recomputation is chosen by its order of magnitude. */
const ROUNDED_BYTES = 256 * 2 ** 20;
const MAX_CACHED = 32;
/** A second of work for a model of a hundred blocks: the largest dense models have 126. */
const MAX_BLOCKS = 200;

export class EstimateCache {
  readonly #entries = new Map<string, RecipeEstimate | undefined>();

  /** What is known without computing. */
  peek(view: RecipeView): RecipeEstimate | undefined {
    const key = keyOf(view);
    return key === undefined ? undefined : this.#entries.get(key);
  }

  /** True where `compute` would have something to do. */
  isDue(view: RecipeView): boolean {
    const key = keyOf(view);
    return key !== undefined && !this.#entries.has(key);
  }

  /** Milliseconds for a small model, some hundred for one of 8 billion parameters. */
  compute(view: RecipeView): void {
    const key = keyOf(view);
    if (key === undefined || this.#entries.has(key)) return;
    this.#entries.set(key, estimate(view));
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_CACHED && oldest !== undefined) this.#entries.delete(oldest);
  }
}

/** Nothing where the recipe has errors or its model is not known. */
function keyOf({ parsed: { recipe }, model, availableBytes }: RecipeView): string | undefined {
  if (recipe === undefined || model?.kind !== 'ready' || model.model.blocks > MAX_BLOCKS) return undefined;
  const rounded = recipe.recompute === 'auto' ? Math.round(availableBytes / ROUNDED_BYTES) : 0;
  return JSON.stringify([{ ...recipe, name: '', data: '', output_dir: '', learning_rate: 0 }, model.id, rounded]);
}

/** Nothing where the method does not fit the model, which is a problem of its own. */
function estimate({ parsed: { recipe }, model, availableBytes }: RecipeView): RecipeEstimate | undefined {
  if (recipe === undefined || model?.kind !== 'ready') return undefined;
  try {
    return estimateRecipe({ recipe, headers: model.headers, usableBytes: USABLE_SHARE * availableBytes });
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError || error instanceof ModelConfigError) return undefined;
    throw error;
  }
}
