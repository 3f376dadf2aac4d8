/** The target ratios, and which of our settings comes closest to each. Pure: rows in, verdicts out. */
import type { BenchMethod, Configuration } from './configuration.ts';

/** One configuration, measured. */
export interface Row extends Configuration {
  readonly checkpointing: boolean;
  readonly threads: number;
  /** The median of `stepSeconds`. */
  readonly secondsPerStep: number;
  readonly stepSeconds: readonly number[];
  /** Peak of the resident memory less that of inference by the same implementation. */
  readonly memoryBytes: number;
  /** Peak of the resident memory, weights and libraries included. */
  readonly peakBytes: number;
  /** Resident when the weights were loaded. */
  readonly residentBytes: number;
  readonly trainable: number;
  /** Processor time during the measured steps, of what the cores had to give: far below 1 on one core, others were using it. */
  readonly cpuShare: number;
  /** The machine's load before it started. */
  readonly loadAverage: number;
  readonly losses: readonly number[];
  /** Floating-point operations that a step needs, those computed again not counted; where the side counts them. */
  readonly flops?: number;
  /** One kernel of the device computed attention; left out where the side does not say. */
  readonly fusesAttention?: boolean;
}

interface Bound {
  /** Theirs, without regard to the rank. */
  readonly dropout: number;
  readonly setting: 'none' | 'checkpointing';
  readonly time: number;
  readonly memory: number;
}

export interface Target {
  readonly name: string;
  readonly method: BenchMethod;
  readonly dropout: number;
  /** Among the settings that meet every bound, the one with the least of this is taken. */
  readonly prefer: 'secondsPerStep' | 'memoryBytes';
  readonly bounds: readonly Bound[];
}

const against = (dropout: number, setting: Bound['setting'], time: number, memory: number): Bound => ({ dropout, setting, time, memory });

export const TARGETS: readonly Target[] = [
  {
    name: 'fastest SPSFT',
    method: 'spsft',
    dropout: 0,
    prefer: 'secondsPerStep',
    bounds: [against(0.1, 'none', 0.74, 0.32), against(0, 'none', 0.85, 0.48)],
  },
  { name: 'leanest SPSFT', method: 'spsft', dropout: 0, prefer: 'memoryBytes', bounds: [against(0, 'checkpointing', 0.75, 0.5)] },
  { name: 'LoRA, dropout 0.1', method: 'lora', dropout: 0.1, prefer: 'secondsPerStep', bounds: [against(0.1, 'none', 0.9, 0.6)] },
  { name: 'LoRA, dropout 0', method: 'lora', dropout: 0, prefer: 'secondsPerStep', bounds: [against(0, 'none', 0.9, 0.6)] },
];

export interface Ratio {
  /** For example "fastest SPSFT / LoRA, dropout 0.1". */
  readonly name: string;
  readonly threads: number;
  /** Our recompute level that was taken. */
  readonly setting: Configuration['setting'];
  readonly time: number;
  readonly memory: number;
  readonly targetTime: number;
  readonly targetMemory: number;
  readonly reached: boolean;
}

/** Ratios of every target for which both sides were measured on that many cores. */
export function computeRatios(rows: readonly Row[], threads: number, targets: readonly Target[] = TARGETS): Ratio[] {
  const present = rows.filter(row => row.threads === threads);
  return targets.flatMap(target => {
    const bounds = target.bounds.flatMap(bound => {
      const peer = present.find(row => isPeer(row, bound));
      return peer ? [{ ...bound, peer }] : [];
    });
    const candidates = present.filter(
      row => row.implementation === 'rowtune' && row.method === target.method && row.dropout === target.dropout,
    );
    const chosen = bounds.length === target.bounds.length ? choose(candidates, bounds, target.prefer) : undefined;
    return chosen ? bounds.map(bound => ratioOf(target, chosen, bound)) : [];
  });
}

/** The bound that one of our rows must meet. */
export interface PeerBound {
  readonly peer: Row;
  readonly time: number;
  readonly memory: number;
}

const isPeer = (row: Row, { dropout, setting }: Bound): boolean =>
  row.implementation === 'pytorch' && row.method === 'lora' && row.dropout === dropout && row.setting === setting;

/** Above 1, a bound is missed by that factor. */
const worst = (row: Row, bounds: readonly PeerBound[]): number =>
  Math.max(
    ...bounds.flatMap(({ peer, time, memory }) => [
      row.secondsPerStep / peer.secondsPerStep / time,
      row.memoryBytes / peer.memoryBytes / memory,
    ]),
  );

/** The preferred among those that meet all bounds; where none does, the one that misses by the smallest factor. */
export function choose(rows: readonly Row[], bounds: readonly PeerBound[], prefer: Target['prefer']): Row | undefined {
  const meeting = rows.filter(row => worst(row, bounds) <= 1);
  const [sorted] =
    meeting.length > 0 ? [...meeting].sort((a, b) => a[prefer] - b[prefer]) : [...rows].sort((a, b) => worst(a, bounds) - worst(b, bounds));
  return sorted;
}

function ratioOf(target: Target, row: Row, bound: Bound & PeerBound): Ratio {
  const time = row.secondsPerStep / bound.peer.secondsPerStep;
  const memory = row.memoryBytes / bound.peer.memoryBytes;
  return {
    name: `${target.name} / PEFT LoRA, dropout ${bound.dropout}${bound.setting === 'none' ? '' : ', checkpointing'}`,
    threads: row.threads,
    setting: row.setting,
    time,
    memory,
    targetTime: bound.time,
    targetMemory: bound.memory,
    reached: time <= bound.time && memory <= bound.memory,
  };
}
