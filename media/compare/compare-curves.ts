/** One chart per metric, with a curve for every visible run. */
import { duration, grouped } from '../../trainer/protocol/format.ts';
import { element, setText } from '../shared/element.ts';
import { evaluationNames, formatOf, labelOf } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';
import { ChartGroup } from '../shared/series/chart-group.ts';
import { type ChartSettings, createChartTools } from '../shared/series/chart-tools.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import { X_AXES, type XAxis } from '../shared/series/metric-history.ts';
import { smooth, smoothingWeight } from '../shared/series/smooth.ts';
import { type Curve, TimeChart } from '../shared/series/time-chart.ts';

export interface ComparedRun {
  readonly runDir: string;
  readonly model: RunModel;
  /** Its position among the runs when it was added: its color stays when others are removed. */
  readonly look: number;
  readonly isShown: boolean;
}

export interface CompareCurvesSettings extends ChartSettings {
  readonly axis: XAxis;
}

export interface CompareCurves {
  readonly element: HTMLElement;
  readonly settings: CompareCurvesSettings;
  update(runs: readonly ComparedRun[]): void;
}

const AXES: Readonly<Record<XAxis, string>> = { step: 'Steps', epoch: 'Epochs', train_seconds: 'Training time' };
const LEADING = ['loss', 'eval_loss'];
const TRAILING = ['learning_rate', 'grad_norm', 'tokens_per_second', 'memory_peak_bytes'];
/** Metrics with few points, each of them a measurement. */
const isMeasurement = (name: string): boolean => name.startsWith('eval_');

export function createCompareCurves(kept: Partial<CompareCurvesSettings>, keep: (settings: CompareCurvesSettings) => void): CompareCurves {
  const group = new ChartGroup();
  const charts = new Map<string, TimeChart>();
  const grid = element('div', { class: 'chart-grid' });
  const where = element('span', { class: 'chart-where' });
  let runs: readonly ComparedRun[] = [];
  let axis: XAxis = X_AXES.find(name => name === kept.axis) ?? 'step';
  const choice = element(
    'select',
    { onchange: choose },
    X_AXES.map(name => element('option', { value: name, selected: name === axis }, AXES[name])),
  );
  const tools = createChartTools(group, kept, settings => {
    keep({ ...settings, axis });
    draw();
  });
  group.onCursor(x => setText(where, x === undefined ? '' : formatX(x)));

  function formatX(x: number): string {
    if (axis === 'train_seconds') return duration(x);
    return axis === 'epoch' ? `epoch ${x.toFixed(2)}` : `step ${grouped(x)}`;
  }

  const unitX = (): string => (axis === 'train_seconds' ? ' s' : '');

  function choose(): void {
    axis = X_AXES.find(name => name === choice.value) ?? 'step';
    group.reset();
    keep({ ...tools.settings, axis });
    draw();
  }

  function namesShown(): string[] {
    const all = [...new Set(runs.flatMap(({ model }) => model.history.names))];
    return [...LEADING, ...evaluationNames(all), ...TRAILING].filter(name => all.includes(name));
  }

  function chartOf(name: string): TimeChart {
    const known = charts.get(name);
    if (known) return known;
    const floor = TRAILING.includes(name) ? 0 : undefined;
    const made = new TimeChart({
      title: labelOf(name),
      group,
      format: formatOf(name),
      formatX,
      unitX,
      isWholeX: () => axis === 'step',
      floor,
    });
    charts.set(name, made);
    return made;
  }

  function draw(): void {
    const names = namesShown();
    for (const [name, chart] of charts) {
      if (names.includes(name)) continue;
      chart.dispose();
      charts.delete(name);
    }
    const shown = names.map(chartOf);
    if (shown.some((chart, i) => grid.children[i] !== chart.element)) grid.replaceChildren(...shown.map(chart => chart.element));
    const weight = smoothingWeight(tools.settings.smoothing);
    for (const [i, name] of names.entries()) {
      const curves = runs.filter(({ isShown }) => isShown).map(run => curveOf(run, name, weight));
      shown[i]?.set({ curves, logarithmic: tools.settings.isLogarithmic && /loss|grad_norm/.test(name) });
    }
  }

  function curveOf({ model, look }: ComparedRun, name: string, weight: number): Curve {
    const points = model.history.points(name, axis);
    const isSmoothed = weight > 0 && !isMeasurement(name) && name !== 'learning_rate' && !name.endsWith('_bytes');
    return {
      label: model.name,
      look: curveLook(look),
      kind: isMeasurement(name) ? 'dots' : 'line',
      ...(isSmoothed ? { points: { x: points.x, y: smooth(points.y, weight) }, measured: points } : { points }),
    };
  }

  return {
    element: element(
      'section',
      { class: 'curves', 'aria-label': 'Curves' },
      element('div', { class: 'chart-bar' }, element('label', { class: 'tool' }, 'Over', choice), tools.element, where),
      grid,
    ),
    get settings() {
      return { ...tools.settings, axis };
    },
    update: next => {
      runs = next;
      draw();
    },
  };
}
