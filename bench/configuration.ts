/** What is measured: the configurations of both sides, and the order in which they take turns. */
import type { RecomputePolicy } from '../trainer/graph/recompute.ts';

export type Implementation = 'rowtune' | 'pytorch';
export type BenchMethod = 'inference' | 'full' | 'lora' | 'dora' | 'spsft';

export interface Configuration {
  readonly implementation: Implementation;
  readonly method: BenchMethod;
  /** LoRA's rank, or the trained rows of each linear layer. */
  readonly r: number;
  /** Of LoRA and DoRA; 0 for the others. */
  readonly dropout: number;
  /** Which forward values are computed again: a recompute level of ours, `none` or `checkpointing` of theirs. */
  readonly setting: RecomputePolicy | 'checkpointing';
}

/** SmolLM2-135M: two sequences of 256 tokens. */
export const BATCH = 2;
export const TOKENS = 256;
export const WARM_UP_STEPS = 2;

const LORA_RANK = 16;
/** The rows of SPSFT that come nearest to LoRA's trained parameters at that rank. */
const SPSFT_ROWS = 32;

type Setting = Configuration['setting'];

const of = (implementation: Implementation, method: BenchMethod, setting: Setting = 'none', dropout = 0): Configuration => ({
  implementation,
  method,
  r: method === 'spsft' ? SPSFT_ROWS : method === 'lora' || method === 'dora' ? LORA_RANK : 0,
  dropout,
  setting,
});

const ours = (method: BenchMethod, setting?: Setting, dropout?: number) => of('rowtune', method, setting, dropout);
const theirs = (method: BenchMethod, setting?: Setting, dropout?: number) => of('pytorch', method, setting, dropout);

/** What is compared with each other comes close together, so that a drift of the machine meets both. */
const OURS: readonly Configuration[] = [
  ours('inference'),
  ours('spsft', 'cheap'),
  ours('lora', 'cheap', 0.1),
  ours('spsft', 'block'),
  ours('lora', 'cheap', 0),
  ours('spsft', 'sqrt'),
  ours('spsft', 'none'),
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

/** The short run: what the target ratios need. */
const isQuick = ({ implementation, method, setting }: Configuration): boolean =>
  method === 'inference' ||
  (method === 'spsft' && implementation === 'rowtune') ||
  (method === 'lora' && (implementation === 'pytorch' || setting === 'cheap' || setting === 'block'));

/** What a second run on more cores repeats: memory hardly depends on them, so the outer levels of the other methods are left out. */
const isRepeated = ({ implementation, method, setting }: Configuration): boolean =>
  implementation === 'pytorch' || method === 'inference' || method === 'spsft' || setting === 'cheap' || setting === 'block';

/** Ours, theirs, ours, theirs, … */
export function plan({ quick, threads }: { readonly quick: boolean; readonly threads: number }): Configuration[] {
  const isWanted = (one: Configuration): boolean => (!quick || isQuick(one)) && (threads === 1 || isRepeated(one));
  const [mine, others] = [OURS.filter(isWanted), THEIRS.filter(isWanted)];
  return Array.from({ length: Math.max(mine.length, others.length) }, (_, i) => [mine[i], others[i]])
    .flat()
    .filter(configuration => configuration !== undefined);
}

/** The measurement that memory is counted from. */
export const isInference = ({ method }: Configuration): boolean => method === 'inference';

/** Whole blocks are computed again, as PyTorch's checkpointing does. */
export const checkpoints = ({ setting }: Configuration): boolean => setting !== 'none' && setting !== 'cheap';

export const describe = ({ implementation, method, r, dropout, setting }: Configuration): string =>
  [
    implementation,
    method,
    r > 0 ? `r${r}` : '',
    method === 'lora' || method === 'dora' ? `dropout ${dropout}` : '',
    method === 'inference' ? '' : setting,
  ]
    .filter(part => part !== '')
    .join(' ');

/** Seconds a step on one core of a 2024 server, and seconds to start: only the first guess of how long a run takes. */
const GUESSED_STEP_SECONDS: Record<Implementation, Record<BenchMethod, number>> = {
  rowtune: { inference: 1.3, full: 4.2, lora: 3.4, dora: 5, spsft: 3.1 },
  pytorch: { inference: 1.4, full: 5.8, lora: 4, dora: 8, spsft: 3.7 },
};
const GUESSED_START_SECONDS = 8;
const GUESSED_GAIN_PER_CORE = 0.7;

export function guessSeconds({ implementation, method }: Configuration, threads: number, steps: number): number {
  const perStep = GUESSED_STEP_SECONDS[implementation][method] / (1 + GUESSED_GAIN_PER_CORE * (threads - 1));
  return GUESSED_START_SECONDS + (WARM_UP_STEPS + steps) * perStep;
}
