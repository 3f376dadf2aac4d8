/** A measured configuration of one side, and the plan of the comparison on SmolLM2-135M. */
import type { RecomputePolicy } from '../trainer/graph/recompute.ts';
import { benchModels, LORA_RANK, type ModelName } from './bench-models.ts';

export type Implementation = 'rowtune' | 'pytorch';
/** `spsft` trains rows. `columns` trains random columns, the default of SPSFT for language models. */
export type BenchMethod = 'inference' | 'full' | 'lora' | 'dora' | 'shira' | 'spsft' | 'columns';
/** `autocast`, for PyTorch only: float32 weights with bfloat16 products. */
export type BenchType = 'float32' | 'bfloat16' | 'autocast';

export interface Configuration {
  readonly implementation: Implementation;
  readonly method: BenchMethod;
  /** The rank, or the number of trained rows or columns per layer. */
  readonly r: number;
  /** The dropout of LoRA and DoRA; 0 for other methods. */
  readonly dropout: number;
  /**
   * How activations are recomputed. Our side: a recompute level, or `disk`, which is `sqrt` with the optimizer state on disk. PyTorch's
   * side: `none`, `checkpointing`, `compile` (torch.compile), or both.
   */
  readonly setting: RecomputePolicy | 'disk' | 'checkpointing' | 'compile' | 'compile+checkpointing';
  readonly model: ModelName;
  readonly batch: number;
  /** Length of a sequence. */
  readonly tokens: number;
  /** Number of leading blocks of the model; undefined for all. */
  readonly layers?: number;
  readonly dtype: BenchType;
  /** The attention of PyTorch's side: flash attention or an error. Undefined if PyTorch chooses. */
  readonly attention?: 'flash';
}

/** Number of warm-up steps; one is enough for a run of a single step, because its steps are long. */
export const warmUpSteps = (steps: number): number => (steps === 1 ? 1 : 2);

export type Setting = Configuration['setting'];

/** The choices of a configuration. Everything else defaults to the model's own batch, float32, and the rank or rows of the equal budget. */
type Choice = Pick<Configuration, 'method'> & Partial<Omit<Configuration, 'implementation' | 'method'>>;

export function configure(implementation: Implementation, choice: Choice): Configuration {
  const { method, model = 'smollm2' } = choice;
  const { batch, tokens, rows, columns = 0 } = benchModels[model];
  const ranks: Partial<Record<BenchMethod, number>> = { spsft: rows, columns, lora: LORA_RANK, dora: LORA_RANK, shira: LORA_RANK };
  const r = ranks[method] ?? 0;
  return { implementation, r, dropout: 0, setting: 'none', model, batch, tokens, dtype: 'float32', ...choice };
}

const ours = (method: BenchMethod, setting?: Setting, dropout?: number) => configure('rowtune', { method, ...given({ setting, dropout }) });
const theirs = (method: BenchMethod, setting?: Setting, dropout?: number) =>
  configure('pytorch', { method, ...given({ setting, dropout }) });

/** Removes undefined values, which would override defaults. */
const given = <T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  // The remaining entries are those of the type.
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };

/** Our configurations. Those compared with each other run close together, so that a drift of the machine affects both. */
const OURS: readonly Configuration[] = [
  ours('inference'),
  ours('spsft', 'cheap'),
  ours('lora', 'cheap', 0.1),
  ours('columns', 'cheap'),
  ours('spsft', 'block'),
  ours('columns', 'block'),
  ours('lora', 'cheap', 0),
  ours('spsft', 'sqrt'),
  ours('spsft', 'none'),
  ours('columns', 'none'),
  ours('lora', 'block', 0.1),
  ours('lora', 'block', 0),
  ours('full', 'cheap'),
  ours('full', 'block'),
  ours('full', 'none'),
  ours('full', 'sqrt'),
  ours('lora', 'none', 0.1),
  ours('lora', 'none', 0),
  ours('lora', 'sqrt', 0.1),
  ours('lora', 'sqrt', 0),
];

const THEIRS: readonly Configuration[] = [
  theirs('inference'),
  theirs('lora', 'none', 0.1),
  theirs('lora', 'none', 0),
  theirs('lora', 'checkpointing', 0),
  theirs('lora', 'checkpointing', 0.1),
  theirs('spsft'),
  theirs('spsft', 'checkpointing'),
  theirs('dora', 'none', 0.1),
  theirs('dora', 'checkpointing', 0.1),
  theirs('full'),
  theirs('full', 'checkpointing'),
];

/** True for SPSFT, with rows or columns. */
export const trainsInPlace = (method: BenchMethod): boolean => method === 'spsft' || method === 'columns';

/** True for the configurations of the short run, which the target ratios need. */
const isQuick = ({ implementation, method, setting }: Configuration): boolean =>
  method === 'inference' ||
  (trainsInPlace(method) && implementation === 'rowtune') ||
  (method === 'lora' && (implementation === 'pytorch' || setting === 'cheap' || setting === 'block'));

/**
 * True for configurations that are measured again on more cores. Memory hardly depends on cores, so other methods skip their outer
 * recompute levels.
 */
const isRepeated = ({ implementation, method, setting }: Configuration): boolean =>
  implementation === 'pytorch' || method === 'inference' || trainsInPlace(method) || setting === 'cheap' || setting === 'block';

export function plan({ quick, threads }: { readonly quick: boolean; readonly threads: number }): Configuration[] {
  const isWanted = (one: Configuration): boolean => (!quick || isQuick(one)) && (threads === 1 || isRepeated(one));
  return inTurn(OURS.filter(isWanted), THEIRS.filter(isWanted));
}

/** Alternates ours and theirs. */
export function inTurn(mine: readonly Configuration[], others: readonly Configuration[]): Configuration[] {
  return Array.from({ length: Math.max(mine.length, others.length) }, (_, i) => [mine[i], others[i]])
    .flat()
    .filter(configuration => configuration !== undefined);
}

/** True for the measurement that memory is counted from. */
export const isInference = ({ method }: Configuration): boolean => method === 'inference';

/** True if whole blocks are recomputed, as in PyTorch's checkpointing. */
export const checkpoints = ({ setting }: Configuration): boolean =>
  setting === 'block' || setting === 'sqrt' || setting === 'disk' || setting.includes('checkpointing');

/** The recompute settings of our side. */
export const recomputeOf = ({ setting }: Configuration) => ({
  recompute: setting === 'disk' ? 'sqrt' : setting,
  offloads: setting === 'disk',
});

/** True if both compute the same batch with the same model. */
export const sameWork = (a: Configuration, b: Configuration): boolean =>
  a.model === b.model && a.batch === b.batch && a.tokens === b.tokens && a.layers === b.layers;

/** Describes a configuration within one model and batch. */
export const describe = ({ implementation, method, r, dropout, setting, dtype, attention }: Configuration): string =>
  [
    implementation,
    method,
    r > 0 ? `r${r}` : '',
    method === 'lora' || method === 'dora' ? `dropout ${dropout}` : '',
    method === 'inference' ? '' : setting,
    attention ? `${attention} attention` : '',
    dtype === 'float32' ? '' : dtype,
  ]
    .filter(part => part !== '')
    .join(' ');

/** Describes the model and batch: SmolLM2-135M, 2 × 256 tokens. */
export function describeWork({ model, batch, tokens, layers }: Pick<Configuration, 'model' | 'batch' | 'tokens' | 'layers'>): string {
  const items = tokens > 1 ? `${batch} × ${tokens} tokens` : `${batch} images`;
  return `${benchModels[model].title}${layers ? ` of ${layers} layers` : ''}, ${items}`;
}

/** Seconds per step of SmolLM2 on one core of a 2024 server, and seconds to start; used only for the first guess of the duration. */
const GUESSED_STEP_SECONDS: Record<Implementation, Record<BenchMethod, number>> = {
  rowtune: { inference: 1.1, full: 4, lora: 3, dora: 4, shira: 3, spsft: 2.6, columns: 2.6 },
  pytorch: { inference: 1.2, full: 4.2, lora: 3.6, dora: 6.5, shira: 4.5, spsft: 3, columns: 3 },
};
const GUESSED_START_SECONDS: Record<Implementation, number> = { rowtune: 4, pytorch: 9 };
/** Seconds that torch.compile needs to compile a transformer's step. */
const GUESSED_COMPILE_SECONDS = 90;
const GUESSED_GAIN_PER_CORE = 0.7;
/** Speed-up of bfloat16 on a processor with bfloat16 products. */
const GUESSED_BFLOAT16_SPEEDUP = 1.5;

export function guessSeconds(one: Configuration, threads: number, steps: number): number {
  const { implementation, method, model, batch, tokens, dtype, setting } = one;
  const own = benchModels[model];
  const size = (own.cost * batch * tokens) / (own.batch * own.tokens);
  const gain = (1 + GUESSED_GAIN_PER_CORE * (threads - 1)) * (dtype === 'float32' ? 1 : GUESSED_BFLOAT16_SPEEDUP);
  const perStep = (GUESSED_STEP_SECONDS[implementation][method] * size) / gain;
  return (
    GUESSED_START_SECONDS[implementation] +
    (setting.includes('compile') ? GUESSED_COMPILE_SECONDS : 0) +
    (warmUpSteps(steps) + steps) * perStep
  );
}
