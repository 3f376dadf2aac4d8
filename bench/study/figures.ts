/** The figures of the study: validation loss over learning rate, with one panel per task. Pure. */
import { chart, type Panel } from '../chart.ts';
import { type ArmName, armNames } from './arms.ts';
import { rowsByTask, type TaskRows } from './compare.ts';
import { tasks } from './plan.ts';
import type { StudyRow } from './rows.ts';

export const COLORS: Partial<Record<ArmName, string>> = {
  'rows, random': '#222222',
  'rows, magnitude': '#0072b2',
  'rows, wanda': '#56b4e9',
  'rows, activation': '#009e73',
  'rows, taylor_row': '#d55e00',
  'rows, taylor': '#e69f00',
  lora: '#cc79a7',
};

/** Number of panels in a row; more do not fit on a page. */
const PANELS = 3;

/** Maps file names to SVG; empty without rows. */
export function figures(rows: readonly StudyRow[]): ReadonlyMap<string, string> {
  const charts = inPanels(rowsByTask(tasks, rows).flatMap(ratePanel));
  return new Map(
    charts.map((own, i) => [figureName(i), chart({ title: 'Held-out loss by learning rate (validation data)', panels: own, markers: [] })]),
  );
}

/** Groups panels into charts. */
export const inPanels = (panels: readonly Panel[]): Panel[][] =>
  Array.from({ length: Math.ceil(panels.length / PANELS) }, (_, i) => panels.slice(i * PANELS, (i + 1) * PANELS));

export const figureName = (index: number): string => `study-rates-${index + 1}.svg`;

function ratePanel(found: TaskRows): Panel[] {
  const tuned = found.rows.filter(({ purpose }) => purpose === 'tune');
  const series = armNames.flatMap(arm => {
    const color = COLORS[arm];
    const points = tuned
      .flatMap(({ arm: own, learningRate: x, result }) => (own === arm && result ? [{ x, y: result.loss, marker: 'circle' as const }] : []))
      .sort((a, b) => a.x - b.x);
    return color === undefined || points.length === 0
      ? []
      : [{ name: arm, color, line: arm === 'lora' ? ('dashed' as const) : ('solid' as const), hollow: arm === 'lora', points }];
  });
  if (series.length === 0) return [];
  return [{ title: found.task.name, x: { label: 'learning rate', scale: 'log' }, y: { label: 'loss', scale: 'log' }, series }];
}
