/** Measures whether the cost of SPSFT on SmolLM2-135M is linear in tokens, layers and rows, by varying one at a time. */

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { elementAt, lastOf } from '../trainer/narrow.ts';
import { chart, type Panel } from './chart.ts';
import { type Configuration, configure } from './configuration.ts';
import { fitLine, type LineFit } from './line-fit.ts';
import { Clock, guessAll, log, measureAll, minutes } from './measurements.ts';
import type { PartContext } from './part.ts';
import { disturbed, type Facts, factLines, megabytes, table } from './report.ts';
import type { RawRow } from './run-side.ts';

/** Measured steps per point; few, because the line averages over many points. */
const STEPS = 3;

export interface Sweep {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  readonly at: (value: number) => Configuration;
}

const spsft = (choice: Partial<Configuration>): Configuration => configure('rowtune', { method: 'spsft', setting: 'cheap', ...choice });

export const SWEEPS: readonly Sweep[] = [
  {
    name: 'tokens, by sequences',
    unit: 'tokens',
    values: [256, 512, 1024, 2048],
    at: tokens => spsft({ batch: tokens / 256, tokens: 256 }),
  },
  { name: 'tokens, in one sequence', unit: 'tokens', values: [256, 512, 1024, 2048], at: tokens => spsft({ batch: 1, tokens }) },
  { name: 'layers', unit: 'layers', values: [6, 12, 18, 24, 30], at: layers => spsft({ layers }) },
  { name: 'rows a layer', unit: 'rows', values: [8, 16, 32, 64, 128], at: r => spsft({ r }) },
  { name: 'rank of LoRA', unit: 'ranks', values: [8, 16, 32, 64], at: r => spsft({ method: 'lora', r }) },
];

export interface SweepResult {
  readonly name: string;
  readonly unit: string;
  readonly points: readonly { readonly value: number; readonly secondsPerStep: number; readonly bytes: number }[];
}

export const timeFit = ({ points }: SweepResult): LineFit => fitLine(points.map(({ value, secondsPerStep }) => [value, secondsPerStep]));
export const memoryFit = ({ points }: SweepResult): LineFit => fitLine(points.map(({ value, bytes }) => [value, bytes]));

const cells = ({ r2, exponent }: LineFit): string[] => [r2.toFixed(4), exponent.toFixed(2)];

export function sweepMarkdown(
  results: readonly SweepResult[],
  { facts, threads, notes }: { facts: Facts; threads: number; notes: readonly string[] },
): string {
  const fits = results.map(result => {
    const [time, memory] = [timeFit(result), memoryFit(result)];
    return [
      result.name,
      `${time.intercept.toFixed(2)} + ${(1000 * time.slope).toFixed(2)}/1000 × ${result.unit}`,
      ...cells(time),
      `${megabytes(memory.intercept)} + ${(memory.slope / 2 ** 20).toFixed(3)} × ${result.unit}`,
      ...cells(memory),
    ];
  });
  const points = results.flatMap(({ name, points: own }) =>
    own.map(({ value, secondsPerStep, bytes }) => [name, String(value), secondsPerStep.toFixed(2), megabytes(bytes)]),
  );
  return `# Cost by tokens, layers and rank

Written by \`npm run bench -- --part sweep\`: SPSFT on SmolLM2-135M in float32,
\`recompute: cheap\`, two sequences of 256 tokens and 32 rows per layer unless they vary, on ${threads} core${threads > 1 ? 's' : ''}.
Time is the median of ${STEPS} steps after warm-up. Memory is the peak minus what is resident once the
weights are loaded. A line is fitted to each; R² is the share of the variance that it explains. The
exponent is that of the whole cost, and lies below 1 if a part of the cost does not grow. Attention
sees all earlier tokens of its sequence, so one long sequence grows faster than a line.

${factLines(facts)}

![Cost by tokens, layers and rank](sweep.svg)

${table(['', 'seconds', 'R²', 'exponent', 'MiB', 'R²', 'exponent'], fits)}

## Measurements

${table(['', 'at', 's/step', 'MiB'], points)}
${notes.length > 0 ? `\n## Doubts\n\n${notes.map(note => `- ${note}`).join('\n')}\n` : ''}`;
}

/** Draws each sweep relative to its largest value, so that all fit in one picture. */
export function sweepPicture(results: readonly SweepResult[]): string {
  const colors = ['#0072b2', '#56b4e9', '#d55e00', '#009e73', '#cc79a7'];
  const panel = (title: string, of: (point: SweepResult['points'][number]) => number): Panel => ({
    title,
    x: { label: 'size, in terms of the largest', scale: 'linear' },
    y: { label: 'cost, in terms of that at the largest', scale: 'linear' },
    series: results.map(({ name, points }, i) => {
      const last = lastOf(points);
      return {
        name,
        color: elementAt(colors, i % colors.length),
        line: 'solid',
        hollow: false,
        points: points.map(point => ({ x: point.value / last.value, y: of(point) / of(last), marker: 'circle' })),
      };
    }),
  });
  return chart({
    title: 'SmolLM2-135M: cost by size',
    panels: [panel('seconds a step', ({ secondsPerStep }) => secondsPerStep), panel('MiB over the loaded model', ({ bytes }) => bytes)],
    markers: [],
  });
}

/** @returns false if a point could not be measured */
export async function runSweep({ sides, facts, store, threads, jobs, steps, results }: PartContext): Promise<boolean> {
  const planned = SWEEPS.flatMap(({ values, at }) => values.map(value => ({ configuration: at(value), steps: Math.min(steps, STEPS) })));
  const params = { sides, planned, threads, jobs, store };
  const clock = new Clock(guessAll(params), jobs);
  log(`sweep: ${planned.length} processes, about ${minutes(clock.left())}`);
  const { rows, failures } = await measureAll({ ...params, clock });
  const found = SWEEPS.flatMap(({ name, unit, values, at }): SweepResult[] => {
    const points = values.flatMap(value => {
      const row = rows.find(one => isOf(one, at(value)));
      return row ? [{ value, secondsPerStep: row.secondsPerStep, bytes: row.peakBytes - row.residentBytes }] : [];
    });
    return points.length >= 2 ? [{ name, unit, points }] : [];
  });
  const notes = [...failures, ...disturbed(rows, facts.cores)];
  await writeFile(path.join(results, 'sweep.md'), sweepMarkdown(found, { facts, threads, notes }));
  await writeFile(path.join(results, 'sweep.svg'), sweepPicture(found));
  await writeFile(path.join(results, 'sweep.json'), `${JSON.stringify({ facts, threads, rows })}\n`);
  log('wrote sweep.md, .svg and .json');
  return failures.length === 0;
}

const isOf = (row: RawRow, wanted: Configuration): boolean =>
  // A row has all keys of a configuration.
  Object.entries(wanted).every(([key, value]) => row[key as keyof Configuration] === value);
