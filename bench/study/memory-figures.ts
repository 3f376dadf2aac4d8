/** The figures of loss over memory: one point per arm, and one panel per task. Pure. */
import { chart, type Marker, type Panel, type Series } from '../chart.ts';
import { type ArmName, armNames, arms } from './arms.ts';
import { isComplete, rowsByTask, type TaskRows, testsOf } from './compare.ts';
import { COLORS, inPanels } from './figures.ts';
import { tasks } from './plan.ts';
import type { StudyRow } from './rows.ts';
import { mean } from './statistics.ts';

const MARKERS = [
  { marker: 'circle', meaning: 'rows' },
  { marker: 'triangle', meaning: 'columns, channels' },
  { marker: 'square', meaning: 'low-rank product' },
  { marker: 'diamond', meaning: 'head, biases, full' },
] as const satisfies readonly { readonly marker: Marker; readonly meaning: string }[];

/** Colors of arms that have none of their own, in order. */
const FURTHER = ['#882255', '#44aa99', '#999933', '#332288', '#aa4499', '#117733', '#ddaa33', '#004488', '#bb5566', '#555555'];

export const memoryFigureName = (index: number): string => `study-memory-${index + 1}.svg`;

/** Maps file names to SVG; empty until two arms of a task have all their seeds. */
export function memoryFigures(rows: readonly StudyRow[]): ReadonlyMap<string, string> {
  const title = 'Held-out loss (test data, mean of seeds) by predicted memory of training next to the weights';
  const charts = inPanels(rowsByTask(tasks, rows).flatMap(memoryPanel));
  return new Map(charts.map((panels, i) => [memoryFigureName(i), chart({ title, panels, markers: MARKERS })]));
}

function memoryPanel(found: TaskRows): Panel[] {
  const series = armNames.flatMap((arm): Series[] => {
    const point = pointOf(found, arm);
    // Omit the arms at default rates, which repeat other arms.
    if (!point || !isComplete(found, arm) || arms[arm].learningRates !== undefined) return [];
    return [
      {
        name: arm,
        color: colorOf(arm),
        line: 'none',
        hollow: arms[arm].family === 'product',
        points: [{ ...point, marker: markerOf(arm) }],
      },
    ];
  });
  if (series.length < 2) return [];
  return [
    {
      title: found.task.name,
      x: { label: 'MB next to the weights', scale: 'linear', fromZero: false },
      y: { label: 'loss', scale: 'linear', fromZero: false },
      series,
    },
  ];
}

/** Means over the seeds of an arm, in megabytes and nats; undefined without runs. */
export function pointOf(found: TaskRows, arm: ArmName): { readonly x: number; readonly y: number } | undefined {
  const known = testsOf(found, arm).flatMap(({ result, memoryBytes }) =>
    result && memoryBytes !== undefined ? [{ x: memoryBytes / 1e6, y: result.loss }] : [],
  );
  return known.length === 0 ? undefined : { x: mean(known.map(({ x }) => x)), y: mean(known.map(({ y }) => y)) };
}

function markerOf(arm: ArmName): Marker {
  const { family, unit } = arms[arm];
  if (unit !== undefined) return 'triangle';
  return family === 'rows' ? 'circle' : family === 'product' ? 'square' : 'diamond';
}

function colorOf(arm: ArmName): string {
  const others = armNames.filter(name => COLORS[name] === undefined);
  return COLORS[arm] ?? FURTHER[others.indexOf(arm) % FURTHER.length] ?? '#555555';
}
