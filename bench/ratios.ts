/** The target ratios, and our setting that comes closest to each. Pure: rows in, verdicts out. */
import type { BenchMethod, Configuration } from './configuration.ts';

/** The measurement of one configuration. */
export interface Row extends Configuration {
  readonly checkpointing: boolean;
  readonly threads: number;
  /** Median of `stepSeconds`. */
  readonly secondsPerStep: number;
  readonly stepSeconds: readonly number[];
  /** Peak resident memory minus that of inference on the same side. */
  readonly memoryBytes: number;
  /** Peak resident memory, including weights and libraries. */
  readonly peakBytes: number;
  /** Resident memory after the weights were loaded. */
  readonly residentBytes: number;
  readonly trainable: number;
  /** Processor time during the measured steps, as a share of what the cores offered; lower if other processes used them. */
  readonly cpuShare: number;
  /** The load of the machine before the process started. */
  readonly loadAverage: number;
  readonly losses: readonly number[];
  /** Floating-point operations that a step needs, without recomputation, if the side counts them. */
  readonly flops?: number;
  /** True if one kernel of the device computed attention; undefined if the side does not report it. */
  readonly fusesAttention?: boolean;
}

interface Bound {
  /** Dropout of the PyTorch row; its rank does not matter. */
  readonly dropout: number;
  readonly setting: 'none' | 'checkpointing';
  readonly time: number;
  readonly memory: number;
}

export interface Target {
  readonly name: string;
  readonly method: BenchMethod;
  readonly dropout: number;
  /** The value to minimize among the settings that meet every bound. */
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
  /** The name: "fastest SPSFT / LoRA, dropout 0.1". */
  readonly name: string;
  readonly threads: number;
  /** The recompute level of our chosen row. */
  readonly setting: Configuration['setting'];
  readonly time: number;
  readonly memory: number;
  readonly targetTime: number;
  readonly targetMemory: number;
  readonly reached: boolean;
}

/** Returns the ratios of every target for which both sides were measured with this number of cores. */
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

/** A bound that our row must meet. */
export interface PeerBound {
  readonly peer: Row;
  readonly time: number;
  readonly memory: number;
}

const isPeer = (row: Row, { dropout, setting }: Bound): boolean =>
  row.implementation === 'pytorch' && row.method === 'lora' && row.dropout === dropout && row.setting === setting;

/** The factor by which the row misses its bounds; at most 1 if it meets them all. */
const worst = (row: Row, bounds: readonly PeerBound[]): number =>
  Math.max(
    ...bounds.flatMap(({ peer, time, memory }) => [
      row.secondsPerStep / peer.secondsPerStep / time,
      row.memoryBytes / peer.memoryBytes / memory,
    ]),
  );

/** Returns the preferred row among those that meet all bounds. If none does, returns the one that misses by the smallest factor. */
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
