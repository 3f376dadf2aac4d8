/** Parses lines of metrics.jsonl into columns for a page. */
import type { MetricsPatch } from '../../trainer/protocol/view/run.ts';

/** Maximum number of metrics: a run writes about a dozen, and a damaged file must not create a column for each line. */
const MAX_NAMES = 64;
/** Valid names; `__proto__` would change the object that holds the columns. */
const NAME = /^(?!__proto__$)[\w.:/-]{1,100}$/;

/** Parses the lines; skips those that are not JSON objects with a step. */
export function metricsPatch(lines: readonly string[], reset: boolean): MetricsPatch {
  const rows = lines.flatMap(line => numbersOf(line) ?? []);
  const names = [...new Set(rows.flatMap(row => [...row.keys()]))].slice(0, MAX_NAMES);
  const columns = Object.fromEntries(names.map(name => [name, rows.map(row => row.get(name) ?? null)]));
  return { type: 'metrics', reset, length: rows.length, columns };
}

function numbersOf(line: string): Map<string, number> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (value === null || typeof value !== 'object' || !('step' in value) || typeof value.step !== 'number') return undefined;
    return new Map(Object.entries(value).filter((entry): entry is [string, number] => NAME.test(entry[0]) && typeof entry[1] === 'number'));
  } catch {
    return undefined;
  }
}
