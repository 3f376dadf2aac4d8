/** Memory estimates of recipes, computed while nobody types and kept until something changes that they depend on. */
import { type EstimateParams, estimateRecipe, type RecipeEstimate } from '../memory/predict.ts';
import { TargetError } from '../method/targets.ts';
import { ModelConfigError } from '../model/model-spec.ts';
import { SelectionError } from '../selection.ts';
import type { RecipeView } from './recipe-view.ts';

/** As a run does: the rest is for the system and for other programs. */
const USABLE_SHARE = 0.5;
/** Free memory changes all the time; the level of recomputation is chosen by its order of magnitude. */
const ROUNDED_BYTES = 256 * 2 ** 20;
const MAX_CACHED = 32;
/** A second of work for a model of a hundred blocks: the largest dense models have 126. */
const MAX_BLOCKS = 200;

/** `failed` is a mistake of ours. A method that does not fit the model has no estimate, and is a problem of its own. */
export type EstimateAnswer = { readonly estimate?: RecipeEstimate } | { readonly failed: string };

export function answerEstimate(params: EstimateParams): EstimateAnswer {
  try {
    return { estimate: estimateRecipe(params) };
  } catch (error) {
    if (error instanceof TargetError || error instanceof SelectionError || error instanceof ModelConfigError) return {};
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** Other levels of recomputation, and other methods, beside what the recipe asks for. */
export type EstimateDetail = Pick<EstimateParams, 'allLevels' | 'compare'>;

/** Computes, here or in another thread. */
export type AnswerEstimate = (params: EstimateParams) => EstimateAnswer | Promise<EstimateAnswer>;

export class EstimateCache {
  readonly #entries = new Map<string, RecipeEstimate | undefined>();
  readonly #detail: EstimateDetail;

  /** @param detail more than the run itself, at three times the work and more */
  constructor(detail: EstimateDetail = {}) {
    this.#detail = detail;
  }

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

  /** Nothing new where it is known already. Rejects where `answer` does, or on a mistake of ours. */
  async compute(view: RecipeView, answer: AnswerEstimate): Promise<void> {
    const key = keyOf(view);
    const { recipe } = view.parsed;
    if (key === undefined || recipe === undefined || view.model?.kind !== 'ready' || this.#entries.has(key)) return;
    const { config, tensors } = view.model.headers;
    const usableBytes = USABLE_SHARE * view.availableBytes;
    const answered = await answer({ recipe, headers: { config, tensors }, usableBytes, device: view.device, ...this.#detail });
    this.#entries.set(key, 'failed' in answered ? undefined : answered.estimate);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_CACHED && oldest !== undefined) this.#entries.delete(oldest);
    if ('failed' in answered) throw new Error(answered.failed);
  }
}

/** Nothing where the recipe has errors or its model is not known. */
function keyOf({ parsed: { recipe }, model, availableBytes }: RecipeView): string | undefined {
  if (recipe === undefined || model?.kind !== 'ready' || model.model.blocks > MAX_BLOCKS) return undefined;
  const rounded = recipe.recompute === 'auto' ? Math.round(availableBytes / ROUNDED_BYTES) : 0;
  return JSON.stringify([{ ...recipe, name: '', data: '', output_dir: '', learning_rate: 0 }, model.id, rounded]);
}
