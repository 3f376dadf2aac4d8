/** The charts of a run: one for each metric of training, over the same steps. */
import { byteSize, compact, grouped } from '../../trainer/protocol/format.ts';
import { element, setText } from '../shared/element.ts';
import { evaluationNames, formatOf, labelOf } from '../shared/metric-names.ts';
import type { RunModel } from '../shared/run-model.ts';
import { ChartGroup } from '../shared/series/chart-group.ts';
import { type ChartSettings, createChartTools } from '../shared/series/chart-tools.ts';
import { curveLook } from '../shared/series/curve-look.ts';
import { smooth, smoothingWeight } from '../shared/series/smooth.ts';
import { type Curve, TimeChart } from '../shared/series/time-chart.ts';
import { memoryLevels, memoryRows } from './memory-rows.ts';

export interface CurvesSettings extends ChartSettings {
  /** The held-out metric that is drawn. */
  readonly evaluation: string;
}

export interface CurvesView {
  readonly element: HTMLElement;
  readonly settings: CurvesSettings;
  update(model: RunModel): void;
}

const BLUE = curveLook(0);
const ORANGE = curveLook(1);
const GREEN = curveLook(2);

/** @param showMemory shows memory by component, which explains the bands of its chart */
export function createCurves(kept: Partial<CurvesSettings>, keep: (settings: CurvesSettings) => void, showMemory: () => void): CurvesView {
  const group = new ChartGroup();
  let model: RunModel | undefined;
  let evaluation = kept.evaluation ?? '';
  const choice = element('select', { class: 'chart-choice', 'aria-label': 'Held-out metric', hidden: true, onchange: choose });
  const tools = createChartTools(group, kept, settings => {
    keep({ ...settings, evaluation });
    draw();
  });
  const formatX = (step: number): string => `step ${grouped(step)}`;
  const chart = (title: string, format: (value: number) => string, more: { floor?: number; control?: HTMLElement; empty?: string } = {}) =>
    new TimeChart({ title, group, format, formatX, isWholeX: () => true, ...more });
  const charts = {
    loss: chart('Loss', compact),
    evaluation: chart('Held-out data', value => formatOf(evaluation)(value), { control: choice, empty: 'no evaluation yet' }),
    learningRate: chart('Learning rate', compact, { floor: 0 }),
    gradNorm: chart('Gradient norm', compact, { floor: 0 }),
    tokens: chart('Throughput', formatOf('tokens_per_second'), { floor: 0 }),
    memory: chart('Memory', byteSize, {
      floor: 0,
      control: element(
        'button',
        { type: 'button', class: 'link', title: 'Explain the bands: predicted and measured memory', onclick: showMemory },
        'by component',
      ),
    }),
  };
  const where = element('span', { class: 'chart-where' });
  group.onCursor(step => setText(where, step === undefined ? '' : formatX(step)));

  function choose(): void {
    evaluation = choice.value;
    keep({ ...tools.settings, evaluation });
    draw();
  }

  function updateChoice(): void {
    const names = evaluationNames(model?.history.names ?? []);
    if (!names.includes(evaluation) && names[0] !== undefined) evaluation = names[0];
    const shown = [...choice.options].map(option => option.value);
    if (names.join() !== shown.join())
      choice.replaceChildren(...names.map(name => element('option', { value: name }, labelOf(name).replace(/^Held-out /, ''))));
    choice.value = evaluation;
    choice.hidden = names.length < 2;
  }

  /** The raw curve, faint, and a smoothed one in front of it. */
  function smoothed(name: string, label: string, look = BLUE): Curve[] {
    const points = model?.history.points(name) ?? { x: new Float64Array(), y: new Float64Array() };
    const weight = smoothingWeight(tools.settings.smoothing);
    if (weight === 0) return [{ label, look, kind: 'line', points }];
    const front: Curve = { label, look, kind: 'line', points: { x: points.x, y: smooth(points.y, weight) }, measured: points };
    return [{ label: `${label}, measured`, look, kind: 'faint', points }, front];
  }

  function plain(name: string, label: string, look = BLUE, kind: Curve['kind'] = 'line'): Curve[] {
    return model ? [{ label, look, kind, points: model.history.points(name) }] : [];
  }

  function memory(): void {
    const { memory: plan, history } = model ?? {};
    const levels = plan ? memoryLevels(memoryRows(plan, undefined)) : [];
    const x = history?.points('memory_peak_bytes').x ?? new Float64Array();
    const total = plan?.predicted.totalBytes ?? 0;
    const ends = Float64Array.from(x.length > 0 ? [x[0] as number, x.at(-1) as number] : []);
    const predicted: Curve[] =
      plan && x.length > 0
        ? [{ label: 'predicted', look: { color: 'foreground', dash: [4, 4] }, kind: 'line', points: { x: ends, y: ends.map(() => total) } }]
        : [];
    const where = plan?.device === 'gpu' ? ' of the host' : '';
    const peak = plain('memory_peak_bytes', `peak${where}`, ORANGE);
    charts.memory.set({
      curves: [...predicted, ...peak, ...plain('memory_resident_bytes', `resident${where}`)],
      levels: x.length > 0 ? levels : [],
    });
  }

  function draw(): void {
    updateChoice();
    const { isLogarithmic } = tools.settings;
    charts.loss.set({
      curves: [...smoothed('loss', 'training'), ...plain('eval_loss', 'held-out', ORANGE, 'dots')],
      logarithmic: isLogarithmic,
    });
    charts.evaluation.set({
      curves: evaluation === '' ? [] : plain(evaluation, labelOf(evaluation).replace(/^Held-out /, ''), ORANGE, 'dots'),
    });
    charts.learningRate.set({ curves: plain('learning_rate', 'learning rate', GREEN) });
    charts.gradNorm.set({ curves: smoothed('grad_norm', 'norm before clipping'), logarithmic: isLogarithmic });
    charts.tokens.set({ curves: smoothed('tokens_per_second', model?.throughputUnit ?? 'tokens', GREEN) });
    memory();
  }

  return {
    element: element(
      'section',
      { class: 'curves', 'aria-label': 'Curves' },
      element('div', { class: 'chart-bar' }, tools.element, where),
      element(
        'div',
        { class: 'chart-grid' },
        Object.values(charts).map(({ element: shown }) => shown),
      ),
    ),
    get settings() {
      return { ...tools.settings, evaluation };
    },
    update: next => {
      model = next;
      draw();
    },
  };
}
