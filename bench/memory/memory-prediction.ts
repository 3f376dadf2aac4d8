/** The predicted memory of a configuration, as `bench/memory/memory.ts` compares it with the measured one. */
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
  /** config.json of the reward model that scores answers. */
  readonly judge?: Readonly<Record<string, unknown>> | undefined;
}

/** The plan of a run at its recipe's level of recomputation, `none` for `auto`. */
export function planOf(
  { engine, config, recipe: lines, judge }: Configured,
  changed = (recipe: ReturnType<typeof benchRecipe>) => recipe,
): RunPlan {
  const recipe = changed(benchRecipe(lines));
  const recompute = recipe.recompute === 'auto' ? 'none' : recipe.recompute;
  return planRun({ recipe, headers: headersOf(config), on: { engine, device: 'cpu' }, recompute, judgeConfig: judge });
}

export interface Prediction {
  /** Without tokenizer and code: none is loaded in a measurement, and how much of the code is resident is the system's affair. */
  readonly predictedBytes: number;
  readonly estimate: MemoryEstimate;
}

export function predict(plan: RunPlan): Prediction {
  const estimate = priceRun(plan);
  const { engine } = plan.on;
  return { predictedBytes: estimate.totalBytes - tokenizerBytes(vocabularyOf(plan.model), engine) - codeBytes(engine), estimate };
}
