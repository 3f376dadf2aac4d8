/** The predicted memory of a configuration, which `bench/memory/memory.ts` compares with the measured one. */
import type { EngineName } from '../../trainer/engine/engine.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { codeBytes, tokenizerBytes } from '../../trainer/plan/memory/engine-overhead.ts';
import { type MemoryEstimate, priceRun, vocabularyOf } from '../../trainer/plan/memory/predict.ts';
import { planRun, type RunPlan } from '../../trainer/plan/run-plan.ts';
import { benchRecipe } from '../recipe.ts';

export interface Configured {
  readonly engine: EngineName;
  readonly config: Readonly<Record<string, unknown>>;
  /** Lines of a recipe: task, method, batch, lengths. */
  readonly recipe: string;
  /** The config.json of the reward model that scores answers. */
  readonly judge?: Readonly<Record<string, unknown>> | undefined;
}

/** The plan of a run at the recipe's recompute level; `none` for `auto`. */
export function planOf(
  { engine, config, recipe: lines, judge }: Configured,
  changed = (recipe: ReturnType<typeof benchRecipe>) => recipe,
): RunPlan {
  const recipe = changed(benchRecipe(lines));
  const recompute = recipe.recompute === 'auto' ? 'none' : recipe.recompute;
  return planRun({ recipe, headers: headersOf(config), on: { engine, device: 'cpu' }, recompute, judgeConfig: judge });
}

export interface Prediction {
  /** Excludes the tokenizer, which a measurement does not load, and code, because the system decides how much of it is resident. */
  readonly predictedBytes: number;
  readonly estimate: MemoryEstimate;
}

export function predict(plan: RunPlan): Prediction {
  const estimate = priceRun(plan);
  const { engine } = plan.on;
  return { predictedBytes: estimate.totalBytes - tokenizerBytes(vocabularyOf(plan.model), engine) - codeBytes(engine), estimate };
}
