/** The runs of the frontier for each model and precision: every method of both sides at every recompute level. */
import { RECOMPUTE_POLICIES } from '../../trainer/graph/recompute.ts';
import { benchModels, type ModelName } from '../bench-models.ts';
import { type BenchMethod, type BenchType, type Configuration, configure, inTurn, type Setting, trainsInPlace } from '../configuration.ts';
import type { Planned } from '../measurements.ts';

export type Precision = 'float32' | 'bfloat16';

export interface FrontierPlanParams {
  readonly model: ModelName;
  readonly dtype: Precision;
  /** Number of measured steps of the compared methods; the others have at most OTHER_STEPS. */
  readonly steps: number;
  /** True to measure only what a target ratio is likely to need. */
  readonly brief: boolean;
}

/** Number of steps for points far from every target; enough for a median. */
const OTHER_STEPS = 3;

type Point = readonly [method: BenchMethod, setting: Setting, dropout?: number];

/** Our points, likely winners first, so that an interrupted run has them. */
const OURS: readonly Point[] = [
  ['inference', 'none'],
  ['spsft', 'cheap'],
  ['spsft', 'block'],
  ['spsft', 'none'],
  ['spsft', 'sqrt'],
  ['spsft', 'disk'],
  ['columns', 'cheap'],
  ['columns', 'block'],
  ['columns', 'none'],
  ['lora', 'cheap', 0],
  ['lora', 'block', 0],
  ['lora', 'cheap', 0.1],
  ['lora', 'block', 0.1],
  ['full', 'cheap'],
  ['full', 'block'],
  ['dora', 'cheap', 0],
  ['dora', 'block', 0],
];

/** The outer recompute levels of the other methods. */
const OTHER_POINTS: readonly Point[] = (['none', 'sqrt'] as const).flatMap((setting): Point[] => [
  ['lora', setting, 0],
  ['lora', setting, 0.1],
  ['full', setting],
  ['dora', setting, 0],
]);

const THEIRS: readonly Point[] = [
  ['inference', 'none'],
  ['lora', 'none', 0],
  ['lora', 'checkpointing', 0],
  ['lora', 'none', 0.1],
  ['lora', 'checkpointing', 0.1],
  ['shira', 'none'],
  ['shira', 'checkpointing'],
  ['full', 'none'],
  ['full', 'checkpointing'],
  ['dora', 'none', 0],
  ['dora', 'checkpointing', 0],
];

/** The only compiled point, because compiling takes a minute or more. */
const COMPILED: Point = ['lora', 'compile', 0];

/** Points with float32 weights and bfloat16 products. */
const AUTOCAST: readonly Point[] = [
  ['inference', 'none'],
  ['lora', 'none', 0],
  ['lora', 'checkpointing', 0],
];

/** The methods that both sides support for experts, and SPSFT. */
const COMPARED: readonly BenchMethod[] = ['inference', 'spsft', 'columns', 'lora'];

const isMain = ({ method, setting }: Configuration): boolean =>
  method === 'inference' || trainsInPlace(method) || (method === 'lora' && setting !== 'compile');

export function frontierPlan({ model, dtype, steps, brief }: FrontierPlanParams): Planned[] {
  const { columns, withoutCheckpointing, convolutional, withExperts, slow } = benchModels[model];
  const point =
    (implementation: Configuration['implementation'], type: BenchType) =>
    ([method, setting, dropout = 0]: Point) =>
      configure(implementation, { method, setting, dropout, model, dtype: type });
  const exists = ({ implementation, method, setting, dropout }: Configuration): boolean =>
    (!(withExperts || (brief && slow)) || COMPARED.includes(method)) &&
    !(withExperts && dropout > 0) &&
    (method !== 'columns' || columns !== undefined) &&
    !(withoutCheckpointing && setting === 'checkpointing') &&
    !(convolutional && implementation === 'pytorch' && method === 'shira');
  const mine = [...OURS, ...(brief ? [] : OTHER_POINTS)].map(point('rowtune', dtype)).filter(exists);
  const others = [...THEIRS, ...(brief ? [] : [COMPILED])].map(point('pytorch', dtype)).filter(exists);
  const autocast = dtype === 'bfloat16' ? AUTOCAST.map(point('pytorch', 'autocast')).filter(exists) : [];
  return inTurn(mine, [...others, ...autocast]).map(configuration => ({
    configuration,
    steps: isMain(configuration) ? steps : Math.min(steps, OTHER_STEPS),
  }));
}

/** The recompute levels of each of our methods in a full plan. */
export const LEVELS = RECOMPUTE_POLICIES;
