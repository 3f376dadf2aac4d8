/** Compares our points with PyTorch's: our best point for each of theirs, and the overall goals. Pure: rows in, verdicts out. */

import { choose, type Row } from '../ratios.ts';
import { usefulFlops } from '../report.ts';
import type { Rates } from '../run-side.ts';
import type { Precision } from './frontier-plan.ts';

/** The rows of one model on one machine. */
export interface FrontierRows {
  readonly rows: readonly Row[];
  readonly rates: Readonly<Partial<Record<Precision, Rates>>>;
}

/** One of our points compared with one of theirs. */
export interface Pair {
  readonly ours: Row;
  readonly time: number;
  readonly memory: number;
  readonly reached: boolean;
}

export interface Verdict {
  readonly peer: Row;
  /** Our fastest point that meets both goals, or else the nearest one. */
  readonly any: Pair;
  /** The same among points of the same method; undefined if we have none. */
  readonly same?: Pair;
}

/** Maximum time and memory, relative to each PEFT point at the same precision. */
export const MAX_TIME = 0.75;
export const MAX_MEMORY = 0.35;

export const precisionOf = ({ dtype }: Pick<Row, 'dtype'>): Precision => (dtype === 'float32' ? 'float32' : 'bfloat16');
const trains = ({ method }: Row): boolean => method !== 'inference';
const of = (rows: readonly Row[], implementation: Row['implementation'], precision: Precision): Row[] =>
  rows.filter(row => row.implementation === implementation && trains(row) && precisionOf(row) === precision);

export function verdicts(rows: readonly Row[], precision: Precision): Verdict[] {
  const mine = of(rows, 'rowtune', precision);
  return of(rows, 'pytorch', precision).flatMap(peer => {
    const any = pair(mine, peer);
    return any
      ? [
          {
            peer,
            any,
            same: pair(
              mine.filter(({ method, dropout }) => method === peer.method && dropout === peer.dropout),
              peer,
            ),
          },
        ]
      : [];
  });
}

function pair(mine: readonly Row[], peer: Row): Pair | undefined {
  const ours = choose(mine, [{ peer, time: MAX_TIME, memory: MAX_MEMORY }], 'secondsPerStep');
  if (!ours) return undefined;
  const time = ours.secondsPerStep / peer.secondsPerStep;
  const memory = ours.memoryBytes / peer.memoryBytes;
  return { ours, time, memory, reached: time <= MAX_TIME && memory <= MAX_MEMORY };
}

/** A value with a target. */
export interface Goal {
  readonly name: string;
  readonly value: number;
  readonly target: number;
  /** `most`: the value must not exceed the target. `least`: it must reach the target. */
  readonly bound: 'most' | 'least';
  readonly reached: boolean;
  /** The points that the value was computed from. */
  readonly points: readonly Row[];
}

const least = (rows: readonly Row[], by: (row: Row) => number): Row | undefined => [...rows].sort((a, b) => by(a) - by(b))[0];
const seconds = (row: Row): number => row.secondsPerStep;
const bytes = (row: Row): number => row.memoryBytes;
const isLora = ({ method, setting }: Row): boolean => method === 'lora' && setting !== 'checkpointing';

/** Returns the goals for which both sides were measured. */
export function goals({ rows, rates }: FrontierRows): Goal[] {
  const half = least(of(rows, 'rowtune', 'bfloat16'), seconds);
  const ratio = (name: string, target: number, ours: Row | undefined, peer: Row | undefined, by: (row: Row) => number): Goal[] => {
    if (!ours || !peer) return [];
    const value = by(ours) / by(peer);
    return [{ name, value, target, bound: 'most', reached: value <= target, points: [ours, peer] }];
  };
  const compared = (['float32', 'bfloat16'] as const).flatMap(precision => {
    const [mine, others] = [of(rows, 'rowtune', precision), of(rows, 'pytorch', precision)];
    return [
      ...ratio(`leanest of ours / leanest of PEFT, ${precision}`, 0.25, least(mine, bytes), least(others, bytes), bytes),
      ...rateGoal(mine, rows, precision, rates[precision]),
    ];
  });
  const half32 = least(of(rows, 'pytorch', 'float32').filter(isLora), seconds);
  const half16 = least(of(rows, 'pytorch', 'bfloat16').filter(isLora), seconds);
  return [
    ...ratio('fastest in bfloat16 / PEFT LoRA in float32, time', 0.45, half, half32, seconds),
    ...ratio('fastest in bfloat16 / PEFT LoRA in bfloat16, time', 1, half, half16, seconds),
    ...compared,
  ];
}

/** The goal for useful operations per second: the highest rate of our points, relative to the machine's matrix products. */
function rateGoal(mine: readonly Row[], rows: readonly Row[], precision: Precision, rates: Rates | undefined): Goal[] {
  const rateOf = (row: Row): number => (usefulFlops(row, rows) ?? 0) / row.secondsPerStep;
  const best = least(mine, row => -rateOf(row));
  if (!best || !rates) return [];
  const value = rateOf(best) / (Math.max(rates.rowtune, rates.pytorch) * 1e9);
  return [
    {
      name: `useful operations / matrix products, ${precision}`,
      value,
      target: 0.8,
      bound: 'least',
      reached: value >= 0.8,
      points: [best],
    },
  ];
}
