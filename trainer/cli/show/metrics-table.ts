/** The table of `rowtune metrics`: fits the most informative of the changing metrics into a given width. Pure. */
import { table } from '../../protocol/text/format.ts';
import { formatOf } from '../../protocol/text/metric-text.ts';
import type { MetricsLine } from '../../run/metrics-file.ts';

/** Metrics that take precedence if not all fit, most important first; held-out metrics of a task come after these. */
const FIRST: readonly string[] = ['step', 'loss', 'eval_loss', 'eval_accuracy'];
/** Metrics that come after the held-out metrics of a task, in this order. */
const LATER: readonly string[] = [
  ...['learning_rate', 'grad_norm', 'tokens_per_second', 'gpu_memory_peak_bytes', 'memory_peak_bytes', 'seconds', 'epoch'],
  ...['gpu_memory_bytes', 'memory_resident_bytes', 'eval_runtime', 'eval_samples_per_second'],
];
/** Number of spaces between two columns. */
const GAP = 2;

/**
 * The newest metrics, one line per entry of metrics.jsonl. Below follow the metrics that have the same value in all lines and those for
 * which there was no room.
 * @param width maximum number of characters per line; if left out, every metric has a column
 */
export function metricsTable(lines: readonly MetricsLine[], width?: number): string {
  const names = [...new Set(lines.flatMap(line => Object.keys(line)))];
  const columns = names.map(name => columnOf(name, lines));
  if (width === undefined) return table(rowsOf(columns, lines.length));
  const [constant, changing] = [columns.filter(isConstant), columns.filter(column => !isConstant(column))];
  const fitting = new Set<Column>();
  let taken = -GAP;
  for (const column of [...changing].sort((a, b) => rankOf(a.name) - rankOf(b.name))) {
    if (fitting.size > 0 && taken + GAP + column.width > width) continue;
    fitting.add(column);
    taken += GAP + column.width;
  }
  const left = changing.filter(column => !fitting.has(column));
  return [
    table(
      rowsOf(
        changing.filter(column => fitting.has(column)),
        lines.length,
      ),
    ),
    ...wrapped(
      'the same in all lines: ',
      constant.map(({ name, cells }) => `${name} ${cells.find(cell => cell !== '')}`),
      width,
    ),
    ...wrapped(
      'shown with --all: ',
      left.map(({ name }) => name),
      width,
    ),
  ].join('\n');
}

interface Column {
  readonly name: string;
  /** One cell for each line; '' if the line lacks the metric. */
  readonly cells: readonly string[];
  readonly width: number;
}

function columnOf(name: string, lines: readonly MetricsLine[]): Column {
  const show = formatOf(name);
  // A diverged loss is null in the file.
  const cells = lines.map(line => (line[name] === undefined ? '' : show(line[name] ?? Number.NaN)));
  return { name, cells, width: Math.max(name.length, ...cells.map(cell => cell.length)) };
}

/** True if several lines have the metric, all with the same value. The step never counts as constant, because it identifies a line. */
function isConstant({ name, cells }: Column): boolean {
  const found = cells.filter(cell => cell !== '');
  return name !== 'step' && found.length > 1 && new Set(found).size === 1;
}

const rowsOf = (columns: readonly Column[], lines: number): string[][] => [
  columns.map(({ name }) => name),
  ...Array.from({ length: lines }, (_, i) => columns.map(({ cells }) => cells[i] ?? '')),
];

/** The priority of a metric; unknown ones come between the two lists. */
function rankOf(name: string): number {
  const first = FIRST.indexOf(name);
  if (first >= 0) return first;
  const later = LATER.indexOf(name);
  return later >= 0 ? FIRST.length + 1 + later : FIRST.length;
}

/** A list in lines of at most `width` characters, with continuation lines indented; nothing for an empty list. */
function wrapped(title: string, items: readonly string[], width: number): string[] {
  if (items.length === 0) return [];
  const lines = [title.trimEnd()];
  for (const [i, item] of items.entries()) {
    const text = i < items.length - 1 ? `${item},` : item;
    const line = lines.at(-1) ?? '';
    if (line.length + 1 + text.length <= width) lines[lines.length - 1] = `${line} ${text}`;
    else lines.push(`  ${text}`);
  }
  return lines;
}
