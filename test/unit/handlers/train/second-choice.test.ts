/**
 * Tests rows that are chosen a second time: the run is the same bit for bit wherever it is interrupted, and only the rows chosen last
 * differ from the base.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readAdapter } from '../../../../trainer/adapter/read-adapter.ts';
import { required } from '../../../../trainer/narrow.ts';
import { type InProcess, runInProcess, stopAfter } from '../../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const settings = [
  'engine=portable',
  'max_steps=5',
  'logging_steps=1',
  'save_strategy="no"',
  'r=4',
  'learning_rate=0.05',
  'importance.samples=4',
];
const twice = [...settings, 'importance.measure=taylor_row', 'importance.choose_again_after=2'];
const dirOf = (name: string): string => join(task.folder, name);
const train = (name: string, overrides: readonly string[], onEvent?: Parameters<typeof runInProcess>[1]) =>
  runInProcess({ kind: 'train', recipe: task.recipe(...overrides), runDir: dirOf(name), context }, onEvent);
const resume = (name: string) => runInProcess({ kind: 'resume', runDir: dirOf(name), overrides: [], context });
const adapterBytes = ({ value }: InProcess<{ readonly checkpoint: string | null }>): Buffer =>
  readFileSync(join(required(value.checkpoint ?? undefined, 'a checkpoint'), 'adapter_model.safetensors'));
const messages = ({ events }: InProcess<unknown>): string =>
  events.flatMap(event => (event.type === 'log' ? [event.message] : [])).join('\n');

describe('a second choice', async () => {
  const whole = await train('whole', twice);

  test('is made after its update: some rows stay, others come, and each layer has as many as before', async () => {
    expect(whole.value).toMatchObject({ state: 'finished', steps: 5 });
    const [, stay = '', all = ''] = /(\d+) of (\d+) stay/.exec(messages(whole)) ?? [];
    expect(Number(stay)).toBeGreaterThan(0);
    expect(Number(stay)).toBeLessThan(Number(all));
    expect([...whole.losses.keys()]).toEqual([1, 2, 3, 4, 5]);
    const adapter = await readAdapter(required(whole.value.checkpoint ?? undefined, 'a checkpoint'));
    const chosen: Record<string, number[]> = JSON.parse(readFileSync(join(dirOf('whole'), 'selection.json'), 'utf8'));
    expect(Object.fromEntries([...adapter.description.rows].map(([name, rows]) => [name, [...rows]]))).toEqual(chosen);
    for (const rows of Object.values(chosen)) expect(rows).toHaveLength(4);
    await adapter.close();
  });

  test.each([1, 2, 3, 4])('a run that is stopped after update %i continues to the bit', async step => {
    const first = await train(`stopped ${step}`, twice, stopAfter(step));
    expect(first.value).toMatchObject({ state: 'stopped', steps: step });
    const second = await resume(`stopped ${step}`);
    expect(second.value).toMatchObject({ state: 'finished', steps: 5 });
    expect(new Map([...first.losses, ...second.losses])).toEqual(whole.losses);
    expect(adapterBytes(second).equals(adapterBytes(whole))).toBe(true);
  });

  test.each(['importance', 'compile'] as const)(
    'a run that ends in the %s of the second choice makes it again, with the same result',
    async phase => {
      let done = 0;
      const killed = train(`killed in ${phase}`, twice, event => {
        if (event.type === 'metrics') done = event.step;
        if (event.type === 'phase' && event.name === phase && done === 2) throw new Error('killed by the test');
      });
      await expect(killed).rejects.toThrow('killed by the test');
      const second = await resume(`killed in ${phase}`);
      expect(second.value).toMatchObject({ state: 'finished', steps: 5 });
      expect([...second.losses]).toEqual([...whole.losses].filter(([step]) => step > 2));
      expect(adapterBytes(second).equals(adapterBytes(whole))).toBe(true);
    },
  );

  test('of the same rows changes nothing, whatever the update', async () => {
    // Steps too small to change which rows have the largest norms.
    const still = [...settings, 'importance.measure=magnitude', 'learning_rate=0.00001'];
    const [once, again] = [await train('once', still), await train('again', [...still, 'importance.choose_again_after=0.5'])];
    const [, stay, all] = /(\d+) of (\d+) stay/.exec(messages(again)) ?? [];
    expect(stay).toBe(all);
    expect(again.losses).toEqual(once.losses);
    expect(adapterBytes(again).equals(adapterBytes(once))).toBe(true);
  });

  test('a step beyond the end of the run causes none', async () => {
    const late = await train('late', [...twice, 'importance.choose_again_after=5']);
    expect(messages(late)).not.toContain('chosen again');
    expect(late.value).toMatchObject({ state: 'finished', steps: 5 });
  });
});

test.each([
  ['accumulated, clipped, with momentum', ['gradient_accumulation_steps=2', 'max_grad_norm=0.5', 'optim=sgd', 'momentum=0.9']],
  ['in bfloat16, with decay', ['dtype=bfloat16', 'weight_decay=0.1']],
])('%s: stopped at the choice, to the bit', async (name, more) => {
  const whole = await train(`${name} whole`, [...twice, ...more]);
  const first = await train(`${name} parts`, [...twice, ...more], stopAfter(2));
  const second = await resume(`${name} parts`);
  expect(new Map([...first.losses, ...second.losses])).toEqual(whole.losses);
  expect(adapterBytes(second).equals(adapterBytes(whole))).toBe(true);
});
