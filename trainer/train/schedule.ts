/** The learning rate of each update, by the formulas of Transformers (optimization.py). */

export interface ScheduleSettings {
  readonly type: 'linear' | 'cosine' | 'constant';
  /** After warm-up. */
  readonly learningRate: number;
  /** At the end of a cosine. */
  readonly minLearningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/** warmup_steps stands in place of warmup_ratio; a share is rounded up, as in Transformers. */
export const warmupStepsOf = (settings: { readonly steps?: number; readonly ratio?: number; readonly totalSteps: number }): number =>
  settings.steps ?? Math.ceil((settings.ratio ?? 0) * settings.totalSteps);

/** @param step updates done before this one: the first has 0, so a warm-up begins with a rate of 0 */
export function learningRateAt(settings: ScheduleSettings, step: number): number {
  const { learningRate, warmupSteps } = settings;
  if (step < warmupSteps) return learningRate * (step / Math.max(1, warmupSteps));
  return learningRate * factorAt[settings.type](settings, step);
}

const factorAt: Readonly<Record<ScheduleSettings['type'], (settings: ScheduleSettings, step: number) => number>> = {
  constant: () => 1,
  linear: ({ totalSteps, warmupSteps }, step) => Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps)),
  cosine: ({ totalSteps, warmupSteps, learningRate, minLearningRate }, step) => {
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    const floor = minLearningRate / learningRate;
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)) * (1 - floor) + floor);
  },
};
