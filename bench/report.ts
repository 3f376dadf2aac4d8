/** Reports the results as Markdown. Pure. */
import { benchModels } from './bench-models.ts';
import { describe, isInference, sameWork } from './configuration.ts';
import type { Ratio, Row } from './ratios.ts';
import type { Rates, RawRow } from './run-side.ts';

export interface Facts {
  readonly date: string;
  readonly cpu: string;
  readonly features: readonly string[];
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  /** Card and driver, if the card computes. */
  readonly gpu?: string;
  readonly versions: Readonly<Record<string, string>>;
}

export interface Results {
  readonly facts: Facts;
  readonly threads: number;
  readonly steps: number;
  readonly rates: Rates;
  readonly rows: readonly Row[];
  readonly ratios: readonly Ratio[];
  /** Reasons to doubt a number. */
  readonly notes: readonly string[];
}

/** Share of processor time on one core below which other processes took so much that the time says little. */
const QUIET_CPU_SHARE = 0.95;
/** Load above the number of cores beyond which the machine counts as overloaded. */
const QUIET_EXTRA_LOAD = 0.5;

/** Describes the rows that shared their cores with other processes. */
export const disturbed = (rows: readonly RawRow[], cores: number): string[] =>
  rows.flatMap(row => {
    const lost = row.threads === 1 && row.cpuShare < QUIET_CPU_SHARE;
    if (lost) return [`${describe(row)}: other processes took ${Math.round(100 * (1 - row.cpuShare))}% of its core`];
    const isBusy = row.loadAverage > cores + QUIET_EXTRA_LOAD;
    return isBusy ? [`${describe(row)}: other processes were busy before it started (load ${row.loadAverage.toFixed(1)})`] : [];
  });

export const table = (header: readonly string[], lines: readonly (readonly string[])[]): string =>
  [header, header.map((_, i) => (i === 0 ? '---' : '---:')), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n');

export const signed = (value: number, digits: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;

export const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

/** Operations that the method needs, without recomputation. For PyTorch's side, those of our own program for the method. */
export const usefulFlops = (row: RawRow, rows: readonly RawRow[]): number | undefined =>
  row.flops ??
  rows.find(other => other.method === row.method && other.dropout === row.dropout && sameWork(other, row) && other.flops !== undefined)
    ?.flops;

function rowLine(row: Row, rows: readonly Row[], peakRate: number): string[] {
  const flops = usefulFlops(row, rows);
  return [
    describe(row),
    row.secondsPerStep.toFixed(2),
    ((row.batch * row.tokens) / row.secondsPerStep).toFixed(row.tokens > 1 ? 0 : 1),
    isInference(row) ? '–' : megabytes(row.memoryBytes),
    megabytes(row.peakBytes),
    row.trainable.toLocaleString('en'),
    flops === undefined ? '–' : `${((100 * flops) / row.secondsPerStep / (peakRate * 1e9)).toFixed(0)}%`,
    `${(100 * row.cpuShare).toFixed(0)}%`,
    row.loadAverage.toFixed(1),
  ];
}

export const rowsTable = ({ rows, rates }: Pick<Results, 'rows' | 'rates'>): string =>
  table(
    [
      '',
      's/step',
      rows.some(({ tokens }) => tokens > 1) ? 'tokens/s' : 'images/s',
      'MiB',
      'peak MiB',
      'trained',
      'of matmul rate',
      'CPU used',
      'load before',
    ],
    rows.map(row => rowLine(row, rows, Math.max(rates.rowtune, rates.pytorch))),
  );

export const ratiosTable = (ratios: readonly Ratio[]): string =>
  table(
    ['ours / theirs', 'our recompute', 'time', 'to reach', 'memory', 'to reach', 'reached'],
    ratios.map(({ name, setting, time, targetTime, memory, targetMemory, reached }) => [
      name,
      setting,
      time.toFixed(3),
      `≤ ${targetTime}`,
      memory.toFixed(3),
      `≤ ${targetMemory}`,
      reached ? 'yes' : 'no',
    ]),
  );

const { batch, tokens } = benchModels.smollm2;

/** Lists the date, the machine and the versions. */
export function factLines({ date, cpu, features, cores, memoryBytes, kernel, gpu, versions }: Facts): string {
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `- ${date}
- ${gpu ? `${gpu}; ` : ''}${cpu}, ${cores} cores, ${features.join(', ')}; ${(memoryBytes / 2 ** 30).toFixed(0)} GiB; ${kernel}
- ${named.join(', ')}`;
}

export function markdown(results: Results): string {
  const { facts, threads, steps, rates, ratios, notes } = results;
  return `# SmolLM2-135M, ${threads === 1 ? 'one core' : `${threads} cores`}

Written by \`npm run bench\`. float32, batch ${batch} × ${tokens} tokens, every token is a label, all linear
layers, AdamW. Both sides load the same weights and the same batch, and their first losses agree.

- Each line is a process of its own, pinned to ${threads === 1 ? 'one core' : `${threads} cores`}; ours and PyTorch's alternate.
- s/step is the median of ${steps} ${steps === 1 ? 'step' : 'steps'} after warm-up.
- MiB is peak resident memory minus that of inference by the same implementation, both counted after
  the weights are loaded. Our compilation of the step is included. Peak MiB is the whole process.

Measured on:

${factLines(facts)}
- float32 matrix products: ours ${rates.rowtune.toFixed(0)} GFLOP/s, PyTorch ${rates.pytorch.toFixed(0)} GFLOP/s. "of matmul rate" is the rate
  of the operations of the step, as a share of the better one; recomputed operations do not count.

## Ratios

${ratiosTable(ratios)}

The ratio takes the fastest of our recompute levels that meets its targets (for the leanest setting:
the smallest), or else the nearest.

## Measurements

${rowsTable(results)}
${notes.length > 0 ? `\n## Doubts\n\n${notes.map(note => `- ${note}`).join('\n')}\n` : ''}`;
}
