/** The number format of a metric, by its name in metrics.jsonl: on pages and in tables of the command line. */
import { byteSize, compact, duration, grouped, percent } from './format.ts';

/** Returns what writes a value of this metric as text. */
export function formatOf(name: string): (value: number) => string {
  if (name.endsWith('_bytes')) return byteSize;
  if (name.endsWith('accuracy')) return value => percent(value);
  if (name === 'tokens_per_second') return value => `${value < 1000 ? compact(value) : grouped(Math.round(value))}/s`;
  if (name === 'train_seconds' || name === 'eval_runtime') return duration;
  return compact;
}
