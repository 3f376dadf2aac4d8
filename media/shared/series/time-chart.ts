/** A chart of curves over steps: drawn by uPlot, controlled by mouse and keyboard, and exposed to screen readers as a slider. */
import uPlot from 'uplot';
import { element, setText } from '../element.ts';
import { isHighContrast } from '../theme.ts';
import { axisLabels, shortNumber } from './axis-labels.ts';
import { chartFont, colorOf, gridColor, onThemeChange } from './chart-colors.ts';
import { type ChartContent, type Curve, smoothedText } from './chart-content.ts';
import type { ChartGroup, GroupMember } from './chart-group.ts';
import { lineStyle } from './curve-look.ts';
import { dotsHaveRoom, valuesIn } from './dots.ts';
import type { Points } from './metric-history.ts';
import { nearest } from './numbers.ts';
import { everyX, nearestX, valueNear } from './points-at.ts';
import { type Range, resample } from './resample.ts';

export interface ChartOptions {
  readonly title: string;
  readonly group: ChartGroup;
  readonly format: (value: number) => string;
  /** Formats an x value: "step 120". */
  readonly formatX: (x: number) => string;
  /** The unit after the numbers of the x axis: " s". */
  readonly unitX?: () => string;
  /** The name of the x axis: "step". */
  readonly labelX: () => string;
  /** True if the x axis counts integers, such as steps. */
  readonly isWholeX?: () => boolean;
  /** The lowest value that must be visible. */
  readonly floor?: number;
  /** A control after the title that selects the metric. */
  readonly control?: HTMLElement;
  /** The text shown while there is nothing to draw. */
  readonly empty?: string;
}

/** Number of key presses that cross the visible range; when zoomed in, a key press moves by one point. */
const KEY_PARTS = 400;
const WHEEL_FACTOR = 1.2;
/** Minimum length of a drag in pixels; anything shorter is a click. */
const SMALLEST_DRAG_PX = 4;
const DOT_SIZE = 6;
/** Possible distances between ticks of the x axis: … 0.5, 1, 2, 5, 10 … */
const INCREMENTS = Array.from({ length: 16 }, (_, i) => [1, 2, 5].map(part => part * 10 ** (i - 4))).flat();
const WHOLE_INCREMENTS = INCREMENTS.filter(increment => increment >= 1);

export class TimeChart implements GroupMember {
  readonly element: HTMLElement;
  private readonly options: ChartOptions;
  private readonly plot: HTMLElement;
  private readonly legend: HTMLElement;
  private readonly empty: HTMLElement;
  private readonly values: HTMLElement[] = [];
  private readonly ends: (() => void)[] = [];
  private content: ChartContent = { curves: [] };
  private chart: uPlot | undefined;
  private shape = '';
  private isPointed = false;

  constructor(options: ChartOptions) {
    this.options = options;
    this.plot = element('div', {
      class: 'chart-plot',
      tabindex: 0,
      role: 'slider',
      'aria-label': `${options.title}: move through the curve with the arrow keys, plus and minus zoom, 0 shows all`,
      'aria-orientation': 'horizontal',
    });
    this.legend = element('div', { class: 'chart-legend' });
    this.empty = element('p', { class: 'chart-empty' }, options.empty ?? 'no values yet');
    const title = element('figcaption', { class: 'chart-title' }, options.title);
    const head = element('div', { class: 'chart-head' }, title, options.control, this.legend);
    this.element = element('figure', { class: 'chart' }, head, element('div', { class: 'chart-body' }, this.plot, this.empty));
    this.listen();
    this.ends.push(
      options.group.add(this),
      onThemeChange(() => this.rebuild()),
    );
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(this.plot);
    this.ends.push(() => sizes.disconnect());
  }

  dispose(): void {
    for (const end of this.ends) end();
    this.chart?.destroy();
    this.element.remove();
  }

  /** Sets the content, which is drawn in the next frame with the other charts of the group. */
  set(content: ChartContent): void {
    this.content = content;
    this.options.group.changed();
  }

  extent(): Range | undefined {
    const { x } = this.longest;
    return x.length === 0 ? undefined : { min: Math.min(...this.outer(0)), max: Math.max(...this.outer(-1)) };
  }

  draw(): void {
    const { curves, logarithmic = false } = this.content;
    const shape = JSON.stringify([
      curves.map(({ label, look, kind, measured }) => [label, look, kind, measured !== undefined]),
      logarithmic,
    ]);
    if (shape !== this.shape || !this.chart) {
      this.shape = shape;
      this.rebuild();
    } else this.update();
  }

  showCursor(x: number | undefined): void {
    this.describe();
    if (!this.chart) return;
    const left = x === undefined ? -10 : this.chart.valToPos(x, 'x');
    this.chart.setCursor({ left, top: x === undefined ? -10 : this.chart.height / 2 }, false);
  }

  private get points(): readonly Points[] {
    return this.content.curves.map(({ points }) => points);
  }

  private get longest(): Points {
    const empty: Points = { x: new Float64Array(), y: new Float64Array() };
    return this.content.curves.reduce((best, { points }) => (points.x.length > best.x.length ? points : best), empty);
  }

  /** The first or last x of every curve that has points. */
  private outer(at: 0 | -1): number[] {
    return this.content.curves.flatMap(({ points }) => points.x.at(at) ?? []);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (width === 0 || (this.chart?.width === width && this.chart.height === height)) return;
    this.chart?.setSize({ width, height });
    this.draw();
  }

  /** Rebuilds the chart for different curves or another theme. */
  private rebuild(): void {
    this.chart?.destroy();
    this.chart = undefined;
    this.drawLegend();
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.longest.x.length === 0 || width === 0) {
      this.describe();
      return;
    }
    this.chart = new uPlot(this.plotOptions(width, height), [[], ...this.content.curves.map(() => [])], this.plot);
    const { canvas } = this.chart.ctx;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${this.options.title} by ${this.options.labelX()}`);
    this.update();
  }

  private update(): void {
    if (!this.chart || this.longest.x.length === 0) {
      this.rebuild();
      return;
    }
    const { curves, logarithmic } = this.content;
    const { range } = this.options.group;
    const { x, ys } = resample(
      curves.map(({ points }) => points),
      range,
      Math.max(50, Math.round(this.chart.bbox.width / devicePixelRatio)),
    );
    const positive = (y: number | null): number | null => (y !== null && y > 0 ? y : null);
    // uPlot's data type requires mutable arrays, but uPlot does not change them.
    const data = [x, ...(logarithmic ? ys.map(values => values.map(positive)) : ys)] as uPlot.AlignedData;
    this.chart.batch(() => {
      this.chart?.setData(data, false);
      this.chart?.setScale('x', { min: range.min, max: range.max });
    });
    this.showCursor(this.options.group.cursor);
  }

  private plotOptions(width: number, height: number): uPlot.Options {
    const { group, format, floor, unitX, labelX, isWholeX } = this.options;
    const { curves, logarithmic = false } = this.content;
    const axis = { stroke: colorOf('foreground'), font: chartFont(), grid: { stroke: gridColor(), width: 1 }, ticks: { show: false } };
    return {
      width,
      height,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        bind: {
          dblclick: () => () => {
            group.reset();
            return null;
          },
        },
      },
      scales: {
        x: { time: false, auto: false },
        y: logarithmic ? { distr: 3 } : { range: (_, min, max) => this.valueRange(min, max, floor) },
      },
      axes: [
        {
          ...axis,
          size: 24,
          gap: 4,
          label: labelX(),
          labelSize: 15,
          labelGap: 0,
          labelFont: chartFont(),
          incrs: () => (isWholeX?.() ? WHOLE_INCREMENTS : INCREMENTS),
          values: (_, splits) => splits.map(value => (value === null ? '' : shortNumber(value) + (unitX?.() ?? ''))),
        },
        { ...axis, size: 58, gap: 4, values: (_, splits) => axisLabels(splits, format) },
      ],
      series: [{}, ...curves.map(seriesOf)],
      hooks: {
        drawClear: [chart => this.drawLevels(chart)],
        setCursor: [chart => this.pointed(chart)],
        setSelect: [chart => this.selected(chart)],
      },
    };
  }

  private valueRange(min: number | null, max: number | null, floor: number | undefined): [number, number] {
    const { levels = [] } = this.content;
    const low = Math.min(min ?? Number.POSITIVE_INFINITY, floor ?? Number.POSITIVE_INFINITY, ...levels.map(({ from }) => from));
    const high = Math.max(max ?? Number.NEGATIVE_INFINITY, ...levels.map(({ to }) => to));
    if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.05;
    return [floor !== undefined && low >= floor ? floor : low - room, high + room];
  }

  private drawLevels({ ctx, bbox, valToPos }: uPlot): void {
    ctx.save();
    ctx.globalAlpha = 0.22;
    for (const { color, from, to } of this.content.levels ?? []) {
      const top = valToPos(to, 'y', true);
      ctx.fillStyle = colorOf(color);
      ctx.fillRect(bbox.left, top, bbox.width, valToPos(from, 'y', true) - top);
    }
    ctx.restore();
  }

  private pointed(chart: uPlot): void {
    if (!this.isPointed) return;
    const left = chart.cursor.left ?? -1;
    this.options.group.setCursor(left < 0 ? undefined : this.snap(chart.posToVal(left, 'x')));
  }

  private snap(x: number): number {
    return nearestX(this.points, x) ?? x;
  }

  private selected(chart: uPlot): void {
    const { left, width } = chart.select;
    if (width < SMALLEST_DRAG_PX) return;
    this.options.group.zoom({ min: chart.posToVal(left, 'x'), max: chart.posToVal(left + width, 'x') });
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  private listen(): void {
    const { group } = this.options;
    this.plot.addEventListener('pointerenter', () => {
      this.isPointed = true;
    });
    this.plot.addEventListener('pointerleave', () => {
      this.isPointed = false;
      group.setCursor(undefined);
    });
    this.plot.addEventListener('keydown', event => this.key(event));
    this.plot.addEventListener('blur', () => group.setCursor(undefined));
    this.plot.addEventListener(
      'wheel',
      event => {
        // Without a modifier key, the wheel scrolls the page as everywhere; a pinch on a touch pad sets ctrlKey.
        if (!this.chart || !(event.ctrlKey || event.metaKey || event.shiftKey)) return;
        event.preventDefault();
        if (event.shiftKey) return group.pan(Math.sign(event.deltaY || event.deltaX) * 0.1);
        const left = event.clientX - this.chart.over.getBoundingClientRect().left;
        group.zoomAround(this.chart.posToVal(left, 'x'), event.deltaY > 0 ? WHEEL_FACTOR : 1 / WHEEL_FACTOR);
      },
      { passive: false },
    );
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { group } = this.options;
    const xs = everyX(this.points);
    const { min, max } = group.range;
    const [first, last] = [nearest(xs, min), nearest(xs, max)];
    const at = group.cursor === undefined ? last : nearest(xs, group.cursor);
    const part = Math.max(1, Math.round((last - first) / KEY_PARTS)) * (event.shiftKey ? 10 : 1);
    const moves: Readonly<Record<string, number>> = {
      ArrowRight: at + part,
      ArrowUp: at + part,
      ArrowLeft: at - part,
      ArrowDown: at - part,
      PageUp: at + 40 * part,
      PageDown: at - 40 * part,
      Home: first,
      End: last,
    };
    const to = moves[event.key];
    if (to !== undefined) group.setCursor(xs[Math.min(last, Math.max(first, to))]);
    else if (event.key === '+' || event.key === '=') group.zoomAround(xs[at] ?? max, 1 / (WHEEL_FACTOR * WHEEL_FACTOR));
    else if (event.key === '-') group.zoomAround(xs[at] ?? max, WHEEL_FACTOR * WHEEL_FACTOR);
    else if (event.key === '0' || event.key === 'Escape') group.reset();
    else return;
    event.preventDefault();
  }

  private get named(): readonly Curve[] {
    return this.content.curves.filter(({ kind }) => kind !== 'faint');
  }

  private drawLegend(): void {
    this.values.length = 0;
    const items = this.named.map(({ label, look }) => {
      const value = element('span', { class: 'chart-value' });
      this.values.push(value);
      const swatch = element('span', { class: `swatch swatch-${look.color} swatch-dash-${look.dash.length === 0 ? 0 : look.dash[0]}` });
      return element('span', { class: 'chart-item' }, swatch, element('span', { class: 'chart-label' }, label), value);
    });
    const text = smoothedText(this.named);
    const note = text === '' ? [] : [element('span', { class: 'hint chart-note' }, text)];
    this.legend.replaceChildren(...items, ...note);
  }

  /** Describes the values under the cursor, or the newest ones. */
  private describe(): void {
    const { format, formatX, group } = this.options;
    const x = group.cursor;
    this.empty.hidden = this.longest.x.length > 0;
    if (this.content.empty !== undefined) setText(this.empty, this.content.empty);
    const texts = this.named.map(({ points, measured }, i) => {
      const value = valueNear(measured ?? points, x);
      const text = value === undefined ? '–' : format(value);
      const shown = this.values[i];
      if (shown) setText(shown, text);
      return text;
    });
    const { min: first, max: last } = this.extent() ?? { min: 0, max: 0 };
    const now = x ?? last;
    const words = this.named.map(({ label }, i) => `${label} ${texts[i]}`).join(', ');
    for (const [name, value] of Object.entries({ valuemin: first, valuemax: last, valuenow: Math.min(last, Math.max(first, now)) }))
      this.plot.setAttribute(`aria-${name}`, String(value));
    this.plot.setAttribute('aria-valuetext', this.longest.x.length === 0 ? 'no values yet' : `${formatX(now)}: ${words}`);
  }
}

function seriesOf({ label, look, kind }: Curve): uPlot.Series {
  const stroke = colorOf(look.color);
  return {
    label,
    stroke,
    ...lineStyle(kind === 'faint', isHighContrast()),
    dash: look.dash.length > 0 ? [...look.dash] : undefined,
    spanGaps: true,
    points: kind === 'dots' ? { show: haveRoom, size: DOT_SIZE, fill: stroke, stroke } : { show: isLonely },
  };
}

/** True for a point without neighbors, which would be invisible as a line. */
const isLonely = (chart: uPlot, i: number): boolean => valuesIn(chart.data[i] ?? []) === 1;

/** True if the dots of the visible values do not touch, which would hide the line. */
const haveRoom = (chart: uPlot, i: number, first: number, last: number): boolean =>
  dotsHaveRoom(valuesIn(chart.data[i] ?? [], first, last), DOT_SIZE, chart.bbox.width / devicePixelRatio);
