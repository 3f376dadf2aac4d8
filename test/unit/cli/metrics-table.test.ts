/** Tests the table of metrics: it fits the terminal, and says what it omits. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { metricsTable } from '../../../trainer/cli/show/metrics-table.ts';
import { readMetrics } from '../../../trainer/run/metrics-file.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';

const GB = 1e9;
const trained = (step: number) => ({
  step,
  epoch: step / 120,
  loss: 1 / step,
  learning_rate: 1e-5 * step,
  grad_norm: step / 7,
  tokens_per_second: 700 + step,
  seconds: 0.4 + step / 1000,
  memory_resident_bytes: 1.6 * GB,
  memory_peak_bytes: 1.7 * GB,
});
const evaluated = {
  ...{ step: 120, epoch: 1, eval_loss: 0.08956, eval_perplexity: 1.094, eval_token_accuracy: 0.972, eval_accuracy: 0.93 },
  ...{ eval_runtime: 19.2, eval_samples_per_second: 10.39 },
};
const lines = [trained(118), trained(119), trained(120), evaluated];
const headOf = (text: string): string[] => (text.split('\n')[0] ?? '').trim().split(/\s+/);

test.each([40, 80, 100, 132, 200])('no line is wider than %d characters, and every metric is named', width => {
  const text = metricsTable(lines, width);
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width);
  for (const name of new Set(lines.flatMap(line => Object.keys(line)))) expect(text).toContain(name);
});

test('the loss comes first, and metrics that do not fit are named below', () => {
  expect(headOf(metricsTable(lines, 80))).toEqual(['step', 'loss', 'eval_loss', 'eval_perplexity', 'eval_token_accuracy', 'eval_accuracy']);
  expect(metricsTable(lines, 80)).toContain('shown with --all: ');
});

test('a value that is the same in all lines is written once below the table', () => {
  const text = metricsTable(lines, 200);
  expect(headOf(text)).not.toContain('memory_peak_bytes');
  expect(text).toContain('the same in all lines: memory_resident_bytes 1.6 GB, memory_peak_bytes 1.7 GB');
});

test('one line has all its metrics in the table', () => {
  const head = headOf(metricsTable([evaluated], 200));
  expect(head).toEqual(Object.keys(evaluated));
});

test('without a width, every metric has a column', () => {
  const text = metricsTable(lines);
  expect(headOf(text)).toEqual([...new Set(lines.flatMap(line => Object.keys(line)))]);
  expect(text.split('\n').length).toBe(lines.length + 1);
});

test('a name that alone is wider than the terminal is shown', () =>
  expect(headOf(metricsTable([{ eval_a_very_long_metric: 1 }, { eval_a_very_long_metric: 2 }], 10))).toEqual(['eval_a_very_long_metric']));

test('a loss that is null in JSON is shown as NaN', async () => {
  const folder = await temporaryFolder();
  writeFileSync(join(folder, 'metrics.jsonl'), '{"step": 2, "loss": 4}\n{"step": 3, "loss": null}\n');
  const text = metricsTable(await readMetrics(folder), 80);
  expect(text.split('\n').at(-1)).toMatch(/^ *3 +NaN$/);
});
