/** The learning rate of each update, by the formulas of Transformers (optimization.py). */

export interface ScheduleArguments {
  readonly num_cycles?: number;
  readonly power?: number;
  readonly lr_end?: number;
  readonly timescale?: number;
  readonly num_decay_steps?: number;
  readonly num_stable_steps?: number;
  readonly min_lr_ratio?: number;
}

export interface ScheduleSettings {
  readonly type:
    | 'linear'
    | 'cosine'
    | 'cosine_with_restarts'
    | 'polynomial'
    | 'inverse_sqrt'
    | 'warmup_stable_decay'
    | 'constant'
    | 'constant_with_warmup';
  /** The rate after warm-up. */
  readonly learningRate: number;
  /** The rate at the end of a cosine. */
  readonly minLearningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** Transformers' arguments by name. */
  readonly arguments: ScheduleArguments;
}

/** A number of updates, given as a count or, below 1, as a share of all updates, rounded up. */
export const stepsOf = (given: number, totalSteps: number): number => (given < 1 ? Math.ceil(given * totalSteps) : given);

/** The number of warm-up updates; warmup_steps overrides warmup_ratio. */
export const warmupStepsOf = (settings: { readonly steps?: number; readonly ratio?: number; readonly totalSteps: number }): number =>
  settings.steps === undefined ? Math.ceil((settings.ratio ?? 0) * settings.totalSteps) : stepsOf(settings.steps, settings.totalSteps);

/** @param step number of earlier updates: it is 0 for the first update, so a warm-up starts with a rate of 0 */
export function learningRateAt(settings: ScheduleSettings, step: number): number {
  const { type, learningRate, warmupSteps } = settings;
  if (type !== 'constant' && step < warmupSteps) return learningRate * warmUp(settings, step / Math.max(1, warmupSteps));
  return learningRate * factorAt[type](settings, step);
}

/** The warm-up factor: it starts at 0, or for warmup_stable_decay at its final minimum ratio. */
function warmUp({ type, arguments: { min_lr_ratio: floor = 0 } }: ScheduleSettings, progress: number): number {
  return type === 'warmup_stable_decay' ? progress * (1 - floor) + floor : progress;
}

const halfCosine = (turns: number): number => 0.5 * (1 + Math.cos(Math.PI * turns));

/** The progress from 0 after the warm-up to 1 at the end. */
const progressAt = ({ totalSteps, warmupSteps }: ScheduleSettings, step: number): number =>
  (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);

/** Factors on the learning rate after the warm-up. */
const factorAt: Readonly<Record<ScheduleSettings['type'], (settings: ScheduleSettings, step: number) => number>> = {
  constant: () => 1,
  constant_with_warmup: () => 1,
  linear: ({ totalSteps, warmupSteps }, step) => Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps)),
  cosine: (settings, step) => {
    const { learningRate, minLearningRate, arguments: args } = settings;
    const floor = minLearningRate / learningRate;
    return Math.max(0, halfCosine((args.num_cycles ?? 0.5) * 2 * progressAt(settings, step)) * (1 - floor) + floor);
  },
  cosine_with_restarts: (settings, step) => {
    const progress = progressAt(settings, step);
    return progress >= 1 ? 0 : Math.max(0, halfCosine(((settings.arguments.num_cycles ?? 1) * progress) % 1));
  },
  polynomial: ({ learningRate, totalSteps, warmupSteps, arguments: { power = 1, lr_end: end = 1e-7 } }, step) => {
    if (step > totalSteps) return end / learningRate;
    const left = 1 - (step - warmupSteps) / (totalSteps - warmupSteps);
    return ((learningRate - end) * left ** power + end) / learningRate;
  },
  inverse_sqrt: ({ warmupSteps, arguments: args }, step) => {
    const timescale = args.timescale ?? (warmupSteps || 10_000);
    return 1 / Math.sqrt((step + timescale - warmupSteps) / timescale);
  },
  warmup_stable_decay: ({ totalSteps, warmupSteps, arguments: args }, step) => {
    const { num_decay_steps: decay = 0, min_lr_ratio: floor = 0, num_cycles: cycles = 0.5 } = args;
    const stable = args.num_stable_steps ?? totalSteps - warmupSteps - decay;
    const into = step - warmupSteps - stable;
    if (into < 0) return 1;
    return into < decay ? Math.max(0, halfCosine(cycles * 2 * (into / Math.max(1, decay))) * (1 - floor) + floor) : floor;
  },
};
