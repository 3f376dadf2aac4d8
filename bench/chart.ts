/**
 * Charts as SVG text: panels of points and lines over linear or logarithmic axes. Written by hand, because libraries that draw SVG outside
 * a browser bring a browser's DOM with them.
 */
import { elementAt, lastOf } from '../trainer/narrow.ts';

export type Marker = 'circle' | 'triangle' | 'square' | 'diamond' | 'cross' | 'none';

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly marker: Marker;
}

export interface Series {
  readonly name: string;
  readonly color: string;
  readonly line: 'solid' | 'dashed' | 'none';
  /** True for hollow markers, which distinguish the two sides without color. */
  readonly hollow: boolean;
  readonly points: readonly Point[];
}

export interface Axis {
  readonly label: string;
  readonly scale: 'linear' | 'log';
  /** False for a linear axis that starts at the smallest value instead of 0. */
  readonly fromZero?: false;
  /** A value that the axis must include. */
  readonly to?: number;
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

export interface ChartParams {
  readonly title: string;
  readonly panels: readonly Panel[];
  /** The meaning of each marker, for the legend. */
  readonly markers: readonly { readonly marker: Marker; readonly meaning: string }[];
}

const PANEL = { width: 440, height: 340, left: 64, right: 16, top: 34, bottom: 48 };
const LINE_HEIGHT = 18;
const TITLE_HEIGHT = 34;
const LEGEND_COLUMN = 188;
const FONT = 'font-family="system-ui, sans-serif"';

export function chart({ title, panels, markers }: ChartParams): string {
  const width = PANEL.width * panels.length;
  const names = [...new Map(panels.flatMap(({ series }) => series).map(series => [series.name, series])).values()];
  const columns = Math.max(1, Math.floor((width - PANEL.left) / LEGEND_COLUMN));
  const entries = [
    ...names.map(series => ({ text: series.name, draw: (x: number, y: number) => sample(series, x, y) })),
    ...markers.map(({ marker, meaning }) => ({
      text: meaning,
      draw: (x: number, y: number) => mark(marker, x + 12, y, '#666', false),
    })),
  ];
  const legendTop = TITLE_HEIGHT + PANEL.height + 14;
  const legend = entries.map(({ text, draw }, i) => {
    const [x, y] = [PANEL.left + (i % columns) * LEGEND_COLUMN, legendTop + Math.floor(i / columns) * LINE_HEIGHT];
    return `${draw(x, y)}<text x="${x + 30}" y="${y + 4}" font-size="12" fill="#333">${quoted(text)}</text>`;
  });
  const height = legendTop + Math.ceil(entries.length / columns) * LINE_HEIGHT + 4;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${FONT} role="img" aria-label="${quoted(title)}">
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="22" font-size="15" font-weight="600" fill="#222">${quoted(title)}</text>
${panels.map((panel, i) => `<g transform="translate(${i * PANEL.width} ${TITLE_HEIGHT})">\n${drawPanel(panel)}\n</g>`).join('\n')}
${legend.join('\n')}
</svg>
`;
}

function drawPanel({ title, x, y, series }: Panel): string {
  const points = series.flatMap(({ points: own }) => own);
  const across = scaleOf(
    x,
    points.map(point => point.x),
    [PANEL.left, PANEL.width - PANEL.right],
  );
  const up = scaleOf(
    y,
    points.map(point => point.y),
    [PANEL.height - PANEL.bottom, PANEL.top],
  );
  const [left, right, top, bottom] = [PANEL.left, PANEL.width - PANEL.right, PANEL.top, PANEL.height - PANEL.bottom];
  const text = (at: string, anchor: string, content: string, size = 11): string =>
    `<text ${at} text-anchor="${anchor}" font-size="${size}" fill="#444">${quoted(content)}</text>`;
  const grid = [
    ...across.ticks.map(tick => {
      const at = fixed(across.place(tick));
      return `<path d="M${at} ${top}V${bottom}" stroke="#e4e4e4"/>${text(`x="${at}" y="${bottom + 16}"`, 'middle', numberText(tick))}`;
    }),
    ...up.ticks.map(tick => {
      const at = fixed(up.place(tick));
      return `<path d="M${left} ${at}H${right}" stroke="#e4e4e4"/>${text(`x="${left - 6}" y="${Number(at) + 4}"`, 'end', numberText(tick))}`;
    }),
  ];
  const drawn = series.map(one => {
    const places = one.points.map(point => ({ marker: point.marker, x: across.place(point.x), y: up.place(point.y) }));
    const path = places.map((place, i) => `${i === 0 ? 'M' : 'L'}${fixed(place.x)} ${fixed(place.y)}`).join('');
    const dash = one.line === 'dashed' ? ' stroke-dasharray="4 3"' : '';
    const line =
      one.line === 'none' || places.length < 2 ? '' : `<path d="${path}" fill="none" stroke="${one.color}" stroke-width="1.5"${dash}/>`;
    return line + places.map(place => mark(place.marker, place.x, place.y, one.color, one.hollow)).join('');
  });
  return [
    `<text x="${left}" y="${top - 12}" font-size="13" font-weight="600" fill="#333">${quoted(title)}</text>`,
    ...grid,
    `<path d="M${left} ${top}V${bottom}H${right}" fill="none" stroke="#888"/>`,
    text(`x="${(left + right) / 2}" y="${bottom + 36}"`, 'middle', x.label, 12),
    text(`transform="translate(16 ${(top + bottom) / 2}) rotate(-90)"`, 'middle', y.label, 12),
    ...drawn,
  ].join('\n');
}

export interface Scale {
  readonly ticks: readonly number[];
  readonly place: (value: number) => number;
}

/** Returns the mapping from values to positions; the range ends at round numbers. */
export function scaleOf(
  { scale, fromZero, to: least = Number.NEGATIVE_INFINITY }: Axis,
  values: readonly number[],
  [begin, end]: readonly [number, number],
): Scale {
  const finite = values.filter(value => Number.isFinite(value) && (scale === 'linear' || value > 0));
  const [low, high] = finite.length > 0 ? [Math.min(...finite), Math.max(...finite, least)] : [1, 10];
  const ticks = scale === 'log' ? logTicks(low, high) : linearTicks(fromZero === false ? low : Math.min(0, low), high);
  const form = scale === 'log' ? Math.log : (value: number) => value;
  const [from, to] = [form(elementAt(ticks, 0)), form(lastOf(ticks))];
  const smallest = elementAt(ticks, 0);
  return {
    ticks,
    place: value => begin + ((form(scale === 'log' ? Math.max(value, smallest) : value) - from) / (to - from)) * (end - begin),
  };
}

const STEPS = [1, 2, 5];

/** Returns powers of ten times 1, 2 and 5 that enclose the values; at least two. */
export function logTicks(low: number, high: number): number[] {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const step of STEPS) all.push(step * 10 ** power);
  const first = all.findLastIndex(tick => tick <= low * (1 + 1e-9));
  const last = all.findIndex(tick => tick >= high * (1 - 1e-9));
  return all.slice(first, Math.max(last, first + 1) + 1);
}

/** Returns four to nine round numbers that enclose the values. */
export function linearTicks(low: number, high: number): number[] {
  const span = high > low ? high - low : Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = (STEPS.findLast(factor => factor * power <= span / 4) ?? 1) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

const fixed = (value: number): string => value.toFixed(1);
const numberText = (value: number): string => (Math.abs(value) >= 1000 ? value.toLocaleString('en') : String(Number(value.toPrecision(3))));
const quoted = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function sample({ color, line, hollow, points }: Series, x: number, y: number): string {
  const dash = line === 'dashed' ? ' stroke-dasharray="4 3"' : '';
  const drawn = line === 'none' ? '' : `<path d="M${x} ${y}H${x + 24}" stroke="${color}" stroke-width="1.5"${dash}/>`;
  return drawn + (points[0]?.marker === 'none' ? '' : mark('circle', x + 12, y, color, hollow));
}

const RADIUS = 4.5;

function mark(marker: Marker, x: number, y: number, color: string, hollow: boolean): string {
  const paint = `fill="${hollow ? '#fff' : color}" stroke="${color}" stroke-width="1.5"`;
  const polygon = (corners: readonly (readonly [number, number])[]): string =>
    `<polygon points="${corners.map(([dx, dy]) => `${fixed(x + dx * RADIUS)},${fixed(y + dy * RADIUS)}`).join(' ')}" ${paint}/>`;
  switch (marker) {
    case 'circle':
      return `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="${RADIUS}" ${paint}/>`;
    case 'triangle':
      return polygon([
        [0, -1.2],
        [1.1, 0.8],
        [-1.1, 0.8],
      ]);
    case 'square':
      return polygon([
        [-0.9, -0.9],
        [0.9, -0.9],
        [0.9, 0.9],
        [-0.9, 0.9],
      ]);
    case 'diamond':
      return polygon([
        [0, -1.3],
        [1.1, 0],
        [0, 1.3],
        [-1.1, 0],
      ]);
    case 'cross':
      return `<path d="M${fixed(x - RADIUS)} ${fixed(y - RADIUS)}l9 9m0 -9l-9 9" stroke="${color}" stroke-width="2"/>`;
    case 'none':
      return '';
  }
}
