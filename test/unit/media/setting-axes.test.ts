/** Tests parallel coordinates of runs: the axes, and the position of each run on them. */
import { expect, test } from 'vitest';
import type { ComparedRun } from '../../../media/compare/compared-run.ts';
import { coordinatesOf } from '../../../media/compare/setting-axes.ts';
import { RunModel } from '../../../media/shared/run-model.ts';

function run(settings: Readonly<Record<string, string>>, loss: number | undefined, look: number): ComparedRun {
  const model = new RunModel();
  const entries = Object.entries(settings).map(([key, value]) => ({ key, value, isDefault: false, doc: '' }));
  model.apply({ type: 'recipe', text: '', entries });
  if (loss !== undefined) model.apply({ type: 'metrics', reset: true, length: 1, columns: { step: [4], eval_loss: [loss] } });
  return { runDir: `/runs/${look}`, model, look, isShown: true };
}

const rates = ['0.0001', '0.001', '0.01'];
const runs = rates.map((rate, i) => run({ model: 'm', learning_rate: rate, method: i === 0 ? 'lora' : 'spsft' }, [3, 1, 2][i], i));

test('an axis for each setting that differs and one for the held-out loss, rates by their logarithm', () => {
  const found = coordinatesOf(runs);
  expect(found?.axes.map(({ key }) => key)).toEqual(['learning_rate', 'method', 'eval_loss']);
  const [rate, method, loss] = found?.axes ?? [];
  expect(rate?.positions).toEqual([0, expect.closeTo(0.5, 10), 1]);
  expect(method?.positions).toEqual([0, 1, 1]);
  expect(method?.ticks.map(({ label }) => label)).toEqual(['LoRA', 'Sparse fine-tuning (SPSFT)']);
  expect(loss?.positions).toEqual([1, 0, 0.5]);
  expect([...(found?.best ?? [])]).toEqual([1]);
});

test('a run without a setting or a result has a gap there', () => {
  const found = coordinatesOf([...runs, run({ model: 'm', method: 'full' }, undefined, 3)]);
  expect(found?.axes.map(({ positions }) => positions[3])).toEqual([undefined, 1, undefined]);
});

test('two runs, equal recipes or runs without results have no picture', () => {
  expect(coordinatesOf(runs.slice(0, 2))).toBeUndefined();
  expect(coordinatesOf([0, 1, 2].map(i => run({ model: 'm' }, 1, i)))).toBeUndefined();
  expect(coordinatesOf(rates.map((rate, i) => run({ learning_rate: rate }, undefined, i)))).toBeUndefined();
});
