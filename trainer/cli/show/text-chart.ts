/** A curve as lines of text for a terminal. */
import { elementAt } from '../../narrow.ts';
import { compact } from '../../protocol/text/format.ts';

export interface ChartParams {
  /** The points in order of x. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
  readonly width?: number;
  readonly height?: number;
  /** Whether the x axis is logarithmic. */
  readonly logX?: boolean;
  /** Marks this x with a line of colons. */
  readonly markX?: number;
}

const DOT = '•';
const MARK = ':';

/** A chart with the y axis on the left, labeled with its highest, middle and lowest value; '' without points. */
export function textChart({ points, width = 64, height = 12, logX = false, markX }: ChartParams): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return '';
  const place = (x: number): number => (logX ? Math.log(x) : x);
  const ys = points.map(({ y }) => y);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const column = (x: number): number => Math.round(((width - 1) * (place(x) - place(first.x))) / (place(last.x) - place(first.x) || 1));
  const row = (y: number): number => Math.round(((height - 1) * (high - y)) / (high - low || 1));
  const cells = Array.from({ length: height }, () => new Array<string>(width).fill(' '));
  if (markX !== undefined && markX >= first.x && markX <= last.x) for (const line of cells) line[column(markX)] = MARK;
  for (const { x, y } of points) elementAt(cells, row(y))[column(x)] = DOT;
  const labels = new Map([
    [0, compact(high)],
    [Math.floor((height - 1) / 2), compact((high + low) / 2)],
    [height - 1, compact(low)],
  ]);
  const margin = Math.max(...[...labels.values()].map(label => label.length));
  const lines = cells.map((line, i) => `${(labels.get(i) ?? '').padStart(margin)} │${line.join('').trimEnd()}`);
  const [from, to] = [compact(first.x), compact(last.x)];
  const axis = `${' '.repeat(margin)} └${'─'.repeat(width)}`;
  return [...lines, axis, `${' '.repeat(margin + 2)}${from}${to.padStart(width - from.length)}`].join('\n');
}
