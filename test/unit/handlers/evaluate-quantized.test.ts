/** Tests that evaluating a run gives the run's own number: the base is held in the same precision, next to what was trained. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { required } from '../../../trainer/narrow.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

test.each([
  ['rows of int8', ['method=spsft', 'trains=rows', 'quantize=int8']],
  ['columns of nf4', ['method=spsft', 'trains=columns', 'quantize=nf4']],
  ['factors of nf4, in bfloat16', ['method=lora', 'r=4', 'quantize=nf4', 'dtype=bfloat16']],
  ['rows and factors of the same weights, of nf4', ['method=spsft+lora', 'r=4', 'quantize=nf4']],
  ['rows in bfloat16', ['method=spsft', 'trains=rows', 'dtype=bfloat16']],
])('%s', async (name, settings) => {
  const { context, folder } = task;
  const recipe = task.recipe('engine=portable', 'max_steps=4', 'learning_rate=0.02', ...settings);
  const runDir = join(folder, name.replaceAll(/\W/g, '-'));
  const { value: run } = await runInProcess({ kind: 'train', recipe, runDir, context });
  const evaluate = async (adapter?: string, ...others: string[]): Promise<number> => {
    const asked = task.recipe('engine=portable', ...settings, ...others);
    const { value } = await runInProcess({ kind: 'evaluate', recipe: asked, adapter, context });
    return required(value.loss, 'the loss');
  };
  // Before the first step of a run, the rows that it trains are not quantized; in the base alone, they are.
  const isBaseAlone = settings.includes('method=lora') || !settings.some(setting => setting.startsWith('quantize'));
  if (isBaseAlone) expect(await evaluate()).toBeCloseTo(required(run.before?.loss, 'the loss of the base'), 5);
  const after = required(run.after?.loss, 'the loss at the end');
  expect(await evaluate(runDir)).toBeCloseTo(after, 5);
  // The type that a run chose for itself is in its checkpoints.
  if (settings.includes('dtype=bfloat16')) expect(await evaluate(runDir, 'dtype=auto')).toBeCloseTo(after, 5);
  // In float32, as in exports, the number differs.
  const plain = await evaluate(runDir, 'quantize=none', 'dtype=float32');
  expect(Math.abs(plain - after)).toBeGreaterThan(1e-5);
});
