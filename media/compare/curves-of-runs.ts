/** The charts of the Compare page and their curves. Pure. */
import { evaluationNames } from '../shared/metric-names.ts';
import type { ChartContent, Curve } from '../shared/series/chart-content.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import type { XAxis } from '../shared/series/metric-history.ts';
import { smooth } from '../shared/series/smooth.ts';
import type { ComparedRun } from './compared-run.ts';

const LEADING = ['loss', 'eval_loss'];
const TRAILING = ['learning_rate', 'grad_norm', 'tokens_per_second', 'memory_peak_bytes'];
/** True for metrics with few points, each of which is a measurement. */
const isMeasurement = (name: string): boolean => name.startsWith('eval_');

/** The metrics that have a chart, in order. */
export function chartNames(runs: readonly Pick<ComparedRun, 'model'>[]): readonly string[] {
  const all = [...new Set(runs.flatMap(({ model }) => model.history.names))];
  return [...LEADING, ...evaluationNames(all), ...TRAILING].filter(name => all.includes(name));
}

/** The lowest value that the axis of a chart must include. */
export const floorOf = (name: string): number | undefined => (TRAILING.includes(name) ? 0 : undefined);

export interface CurveSettings {
  readonly axis: XAxis;
  /** Smoothing weight; 0 for none. */
  readonly weight: number;
  readonly isLogarithmic: boolean;
}

/** The content of a chart: one curve per visible run. */
export function chartOf(runs: readonly ComparedRun[], name: string, { axis, weight, isLogarithmic }: CurveSettings): ChartContent {
  const isSmoothed = weight > 0 && !isMeasurement(name) && name !== 'learning_rate' && !name.endsWith('_bytes');
  const curves = runs
    .filter(({ isShown }) => isShown)
    .map(({ model, look }): Curve => {
      const points = model.history.points(name, axis);
      return {
        label: model.name,
        look: curveLook(look),
        kind: isMeasurement(name) ? 'dots' : 'line',
        ...(isSmoothed ? { points: { x: points.x, y: smooth(points.y, weight) }, measured: points } : { points }),
      };
    });
  return { curves, logarithmic: isLogarithmic && /loss|grad_norm/.test(name) };
}
