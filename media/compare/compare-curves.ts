/** One chart per metric, with a curve for every visible run. */
import { duration, grouped } from '../../trainer/protocol/text/format.ts';
import { formatOf, labelOf } from '../../trainer/protocol/text/metric-text.ts';
import { element, setText } from '../shared/element.ts';
import { ChartGroup } from '../shared/series/chart-group.ts';
import { type ChartSettings, createChartTools } from '../shared/series/chart-tools.ts';
import { X_AXES, type XAxis } from '../shared/series/metric-history.ts';
import { smoothingWeight } from '../shared/series/smooth.ts';
import { TimeChart } from '../shared/series/time-chart.ts';
import type { ComparedRun } from './compared-run.ts';
import { chartNames, chartOf, floorOf } from './curves-of-runs.ts';

export interface CompareCurvesSettings extends ChartSettings {
  readonly axis: XAxis;
}

export interface CompareCurves {
  readonly element: HTMLElement;
  readonly settings: CompareCurvesSettings;
  update(runs: readonly ComparedRun[]): void;
}

const AXES: Readonly<Record<XAxis, string>> = { step: 'Steps', epoch: 'Epochs', train_seconds: 'Training time' };
const AXIS_LABELS: Readonly<Record<XAxis, string>> = { step: 'step', epoch: 'epoch', train_seconds: 'training time' };

export function createCompareCurves(kept: Partial<CompareCurvesSettings>, keep: (settings: CompareCurvesSettings) => void): CompareCurves {
  const group = new ChartGroup();
  let runs: readonly ComparedRun[] = [];
  let axis: XAxis = X_AXES.find(name => name === kept.axis) ?? 'step';
  const charts = createCharts(group, () => axis);
  const where = element('span', { class: 'chart-where' });
  const choice = element(
    'select',
    { onchange: choose },
    X_AXES.map(name => element('option', { value: name, selected: name === axis }, AXES[name])),
  );
  const tools = createChartTools(group, kept, settings => {
    keep({ ...settings, axis });
    draw();
  });
  group.onCursor(x => setText(where, x === undefined ? '' : placeText(axis, x)));

  function choose(): void {
    axis = X_AXES.find(name => name === choice.value) ?? 'step';
    group.reset();
    keep({ ...tools.settings, axis });
    draw();
  }

  function draw(): void {
    const { smoothing, isLogarithmic } = tools.settings;
    charts.update(runs, { axis, weight: smoothingWeight(smoothing), isLogarithmic });
  }

  return {
    element: element(
      'section',
      { class: 'curves', 'aria-label': 'Curves' },
      element('div', { class: 'chart-bar' }, element('label', { class: 'tool' }, 'Over', choice), tools.element, where),
      charts.element,
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

/** Formats a position: "step 120", "epoch 1.25", "3 min 20 s". */
function placeText(axis: XAxis, x: number): string {
  if (axis === 'train_seconds') return duration(x);
  return axis === 'epoch' ? `epoch ${x.toFixed(2)}` : `step ${grouped(x)}`;
}

/** The grid of charts: one for each metric that any run has. */
function createCharts(group: ChartGroup, axis: () => XAxis) {
  const charts = new Map<string, TimeChart>();
  const grid = element('div', { class: 'chart-grid' });
  const create = (name: string): TimeChart =>
    new TimeChart({
      title: labelOf(name),
      group,
      format: formatOf(name),
      formatX: x => placeText(axis(), x),
      labelX: () => AXIS_LABELS[axis()],
      unitX: () => (axis() === 'train_seconds' ? ' s' : ''),
      isWholeX: () => axis() === 'step',
      floor: floorOf(name),
    });
  return {
    element: grid,
    update(runs: readonly ComparedRun[], settings: Parameters<typeof chartOf>[2]): void {
      const names = chartNames(runs);
      for (const [name, chart] of charts) {
        if (names.includes(name)) continue;
        chart.dispose();
        charts.delete(name);
      }
      for (const name of names) if (!charts.has(name)) charts.set(name, create(name));
      const shown = names.flatMap(name => charts.get(name) ?? []);
      if (shown.some((chart, i) => grid.children[i] !== chart.element)) grid.replaceChildren(...shown.map(chart => chart.element));
      for (const [i, name] of names.entries()) shown[i]?.set(chartOf(runs, name, settings));
    },
  };
}
