/** The charts of a run: one per training metric, over the same steps. */
import { byteSize, compact, grouped } from '../../trainer/protocol/text/format.ts';
import { formatOf, shortLabelOf } from '../../trainer/protocol/text/metric-text.ts';
import { element, fill, setText } from '../shared/element.ts';
import { evaluationNames } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';
import { ChartGroup } from '../shared/series/chart-group.ts';
import { type ChartSettings, createChartTools } from '../shared/series/chart-tools.ts';
import { smoothingWeight } from '../shared/series/smooth.ts';
import { type ChartOptions, TimeChart } from '../shared/series/time-chart.ts';
import { curvesOfRun, type RunChart } from './curves-of-run.ts';

export interface CurvesSettings extends ChartSettings {
  /** The held-out metric shown. */
  readonly evaluation: string;
}

export interface CurvesView {
  readonly element: HTMLElement;
  readonly settings: CurvesSettings;
  update(model: RunModel): void;
}

const stepText = (step: number): string => `step ${grouped(step)}`;

/** @param showMemory opens the table of memory by component, which explains the bands of the memory chart */
export function createCurves(kept: Partial<CurvesSettings>, keep: (settings: CurvesSettings) => void, showMemory: () => void): CurvesView {
  const group = new ChartGroup();
  let model: RunModel | undefined;
  const choice = createChoice(kept.evaluation ?? '', () => {
    keep(settings());
    draw();
  });
  const tools = createChartTools(group, kept, () => {
    keep(settings());
    draw();
  });
  const settings = (): CurvesSettings => ({ ...tools.settings, evaluation: choice.value });
  const charts = createCharts(group, choice, showMemory);
  const where = element('span', { class: 'chart-where' });
  group.onCursor(step => setText(where, step === undefined ? '' : stepText(step)));

  function draw(): void {
    if (!model) return;
    choice.update(evaluationNames(model.history.names));
    const { smoothing, isLogarithmic } = tools.settings;
    charts.update(model, { evaluation: choice.value, weight: smoothingWeight(smoothing), isLogarithmic });
  }

  return {
    element: element(
      'section',
      { class: 'curves', 'aria-label': 'Curves' },
      element('div', { class: 'chart-bar' }, tools.element, where),
      charts.element,
    ),
    get settings() {
      return settings();
    },
    update: next => {
      model = next;
      draw();
    },
  };
}

/** The list of held-out metrics, hidden if there is nothing to choose. */
function createChoice(first: string, onChange: () => void) {
  let value = first;
  const list = element('select', { class: 'chart-choice', 'aria-label': 'Held-out metric', hidden: true, onchange: choose });
  function choose(): void {
    value = list.value;
    onChange();
  }
  return {
    element: list,
    get value() {
      return value;
    },
    update(names: readonly string[]): void {
      if (!names.includes(value) && names[0] !== undefined) value = names[0];
      const options = names.map(name => element('option', { value: name }, shortLabelOf(name)));
      if (names.join() !== [...list.options].map(option => option.value).join()) fill(list, options);
      list.value = value;
      list.hidden = names.length < 2;
    },
  };
}

function createCharts(group: ChartGroup, choice: ReturnType<typeof createChoice>, showMemory: () => void) {
  const chart = (title: string, format: ChartOptions['format'], more: Partial<ChartOptions> = {}): TimeChart =>
    new TimeChart({ title, group, format, formatX: stepText, labelX: () => 'step', isWholeX: () => true, ...more });
  const components = element(
    'button',
    { type: 'button', class: 'link', title: 'Explain the bands: predicted and measured memory', onclick: showMemory },
    'by component',
  );
  const charts: Readonly<Record<RunChart, TimeChart>> = {
    loss: chart('Loss', compact),
    evaluation: chart('Held-out data', value => formatOf(choice.value)(value), { control: choice.element }),
    learningRate: chart('Learning rate', compact, { floor: 0 }),
    gradNorm: chart('Gradient norm', compact, { floor: 0 }),
    tokens: chart('Throughput', formatOf('tokens_per_second'), { floor: 0 }),
    memory: chart('Memory', byteSize, { floor: 0, control: components }),
  };
  const names: readonly RunChart[] = ['loss', 'evaluation', 'learningRate', 'gradNorm', 'tokens', 'memory'];
  return {
    element: element(
      'div',
      { class: 'chart-grid' },
      names.map(name => charts[name].element),
    ),
    update(model: RunModel, settings: Parameters<typeof curvesOfRun>[1]): void {
      const curves = curvesOfRun(model, settings);
      for (const name of names) charts[name].set(curves[name]);
    },
  };
}
