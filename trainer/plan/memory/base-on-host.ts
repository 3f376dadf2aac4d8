/** A recipe whose base lies in the memory of the host, where its own does not and could. */
import { engineCatalog } from '../../catalog/engines.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { whyOnDevice } from '../../protocol/recipe/rules/method-rules.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';

export interface HostedRecipe {
  readonly recipe: Recipe;
  /** The overrides that make it of the recipe. */
  readonly overrides: readonly string[];
}

/** Undefined where the base lies there already, or cannot, or where that saves no memory. */
export function withBaseOnHost(recipe: Recipe, { engine, device }: Pick<ComputesOn, 'engine' | 'device'>): HostedRecipe | undefined {
  const isPossible = device === 'gpu' && engineCatalog[engine].hostsWeights && recipe.devices === 1 && whyOnDevice(recipe) === undefined;
  if (!isPossible || recipe.base_offload !== 'none') return undefined;
  return {
    recipe: { ...recipe, engine, base_offload: 'host' },
    overrides: [...(recipe.engine === engine ? [] : [`engine=${engine}`]), 'base_offload=host'],
  };
}

/** The memory of a run whose base lies in the memory of the host. */
interface HostedMemory {
  readonly runBytes: number;
  readonly offloadedBytes: number;
  readonly recompute: Recipe['recompute'];
}

/** The same, and the overrides that make it of the recipe. */
export type BaseOnHost = HostedMemory & Pick<HostedRecipe, 'overrides'>;

/**
 * At the recipe's own level of recomputation if the run then fits, otherwise with blocks recomputed.
 * @param how.estimate the memory of a recipe that is like this one
 */
export function priceOnHost(
  recipe: Recipe,
  on: Pick<ComputesOn, 'engine' | 'device'>,
  { usableBytes, estimate }: { readonly usableBytes: number; readonly estimate: (recipe: Recipe) => HostedMemory },
): BaseOnHost | undefined {
  const hosted = withBaseOnHost(recipe, on);
  if (!hosted) return undefined;
  const priced = (recompute: Recipe['recompute'], overrides: readonly string[]): BaseOnHost => {
    const { runBytes, offloadedBytes, recompute: level } = estimate({ ...hosted.recipe, recompute });
    return { runBytes, offloadedBytes, recompute: level, overrides };
  };
  const own = priced(recipe.recompute, hosted.overrides);
  const isLeanest = recipe.recompute === 'auto' || recipe.recompute === 'block';
  return own.runBytes <= usableBytes || isLeanest ? own : priced('block', [...hosted.overrides, 'recompute=block']);
}
