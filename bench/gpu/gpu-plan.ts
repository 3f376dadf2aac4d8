/** The runs of `--part gpu`: ours next to PyTorch + PEFT at equal budgets. The runs that the goals are about come first. */
import { elementCount } from '../../trainer/graph/types.ts';
import { targetModules } from '../../trainer/method/targets.ts';
import type { ConfigJson } from '../../trainer/model/config-json.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import { benchConfigs, type GpuModel, LORA_RANK } from '../bench-models.ts';
import { type BenchMethod, type Configuration, configure, inTurn, type Setting, trainsInPlace, warmUpSteps } from '../configuration.ts';
import type { Planned } from '../measurements.ts';

/** Models in order of importance; the goals are about the first. */
export const GPU_MODELS = ['llama3-8b', 'smollm2-1.7b', 'qwen3-8b'] as const satisfies readonly GpuModel[];

const LARGER_RANK = 64;

/** @param rank of LoRA, whose parameter count SPSFT's columns or rows should match as closely as possible */
type Point = readonly [method: BenchMethod, setting: Setting, rank?: number, attention?: 'flash'];

/** Our points with recomputed blocks, as for a model that barely fits its card. Columns are the default of a recipe. */
const OURS: readonly Point[] = [
  ['lora', 'block'],
  ['columns', 'block'],
];
const THEIRS: readonly Point[] = [
  ['lora', 'checkpointing'],
  ['lora', 'none'],
];
/** Full tuning, for models that fit with all optimizer moments. */
const OURS_WHOLE: readonly Point[] = [['full', 'block']];
const THEIRS_WHOLE: readonly Point[] = [['full', 'checkpointing']];

const LATER_POINTS: readonly Point[] = [
  ['spsft', 'block'],
  ['columns', 'cheap'],
  ['lora', 'cheap'],
  ['lora', 'block', LARGER_RANK],
  ['columns', 'block', LARGER_RANK],
];
const THEIRS_LATER: readonly Point[] = [
  ['lora', 'checkpointing', LORA_RANK, 'flash'],
  ['lora', 'none', LORA_RANK, 'flash'],
  ['lora', 'compile'],
  ['lora', 'compile+checkpointing'],
  ['lora', 'checkpointing', LARGER_RANK],
  ['lora', 'none', LARGER_RANK],
  ['spsft', 'checkpointing'],
];

/** Returns the even number of rows or columns per layer whose parameter count is closest to that of LoRA at a rank. */
export function unitsMatchingLora(config: ConfigJson, rank: number, unit: 'rows' | 'columns'): number {
  const modules = targetModules(loadModel(config), { targetModules: ['all-linear'], freeze: [] });
  const sizes = modules.map(({ weight: { shape } }) => ({ out: shape[0] ?? 1, width: shape[1] ?? 1 }));
  const lora = sizes.reduce((sum, { out, width }) => sum + rank * (out + width), 0);
  const each = sizes.reduce((sum, { out, width }) => sum + (unit === 'rows' ? width : out), 0);
  return 2 * Math.round(lora / each / 2);
}

function configurationOf(
  implementation: Configuration['implementation'],
  model: GpuModel,
  [method, setting, rank = LORA_RANK, attention]: Point,
) {
  const unit = method === 'columns' ? 'columns' : 'rows';
  const r = trainsInPlace(method) ? unitsMatchingLora(benchConfigs[model], rank, unit) : method === 'lora' ? rank : 0;
  return configure(implementation, { method, setting, r, model, dtype: 'bfloat16', ...(attention && { attention }) });
}

const trainsWhole = (model: GpuModel): boolean => parametersOf(model) < 3e9;

const parametersOf = (model: GpuModel): number =>
  loadModel(benchConfigs[model]).parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);

/** Guesses for one H100 with 16 cores; none was measured. */
const GUESS = {
  start: { rowtune: 6, pytorch: 15 },
  bytesPerSecond: 1.2e9,
  compile: { rowtune: 40, pytorch: 60 },
  parametersPerSecond: 15e9,
} as const;

/** The estimated seconds of a process: starting, loading, compiling, and steps. */
export function guessGpuSeconds({ implementation, model, setting }: Configuration & { readonly model: GpuModel }, steps: number): number {
  const parameters = parametersOf(model);
  const compiles = implementation === 'rowtune' || setting.includes('compile');
  return (
    GUESS.start[implementation] +
    (2 * parameters) / GUESS.bytesPerSecond +
    (compiles && parameters > 1e9 ? GUESS.compile[implementation] : 0) +
    ((warmUpSteps(steps) + steps) * parameters) / GUESS.parametersPerSecond
  );
}

export interface GpuPlanParams {
  readonly models: readonly GpuModel[];
  readonly steps: number;
  /** True for only the runs that the goals are about. */
  readonly isBrief: boolean;
}

/** Plans everything for the goals of each model, then the other points of each. */
export function gpuPlan({ models, steps, isBrief }: GpuPlanParams): Planned[] {
  const points = (model: GpuModel, mine: readonly Point[], others: readonly Point[]): Planned[] =>
    inTurn(
      mine.map(point => configurationOf('rowtune', model, point)),
      others.map(point => configurationOf('pytorch', model, point)),
    ).map(configuration => ({ configuration, steps, seconds: guessGpuSeconds({ ...configuration, model }, steps) }));
  return [
    ...models.flatMap(model =>
      points(model, [...OURS, ...(trainsWhole(model) ? OURS_WHOLE : [])], [...THEIRS, ...(trainsWhole(model) ? THEIRS_WHOLE : [])]),
    ),
    ...(isBrief ? [] : models.flatMap(model => points(model, LATER_POINTS, THEIRS_LATER))),
  ];
}
