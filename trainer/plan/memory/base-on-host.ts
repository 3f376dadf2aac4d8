/** A variant of a recipe that stores the base weights in the host's memory, if the recipe does not but could. */
import { engineCatalog } from '../../catalog/engines.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { whyOnDevice } from '../../protocol/recipe/rules/method-rules.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';

export interface HostedRecipe {
  readonly recipe: Recipe;
  /** The overrides that turn the given recipe into this one. */
  readonly overrides: readonly string[];
}

/** Returns the variant; undefined if the base is already there, cannot be, or if that would save no memory. */
export function withBaseOnHost(recipe: Recipe, { engine, device }: Pick<ComputesOn, 'engine' | 'device'>): HostedRecipe | undefined {
  const isPossible = device === 'gpu' && engineCatalog[engine].hostsWeights && recipe.devices === 1 && whyOnDevice(recipe) === undefined;
  if (!isPossible || recipe.base_offload !== 'none') return undefined;
  return {
    recipe: { ...recipe, engine, base_offload: 'host' },
    overrides: [...(recipe.engine === engine ? [] : [`engine=${engine}`]), 'base_offload=host'],
  };
}

/** The memory of a run whose base weights are in the host's memory. */
interface HostedMemory {
  readonly runBytes: number;
  readonly offloadedBytes: number;
  readonly recompute: Recipe['recompute'];
}

/** The memory, and the overrides that turn the recipe into this one. */
export type BaseOnHost = HostedMemory & Pick<HostedRecipe, 'overrides'>;

/**
 * Returns the memory at the recipe's own recompute level if the run then fits, otherwise with blocks recomputed.
 * @param how.estimate returns the memory of a variant of the recipe
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
