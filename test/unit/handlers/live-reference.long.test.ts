/**
 * Tests runs that read their base while they train: losses, gradients and weights equal those of a run that computed it before, on every
 * installed engine.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { engineCatalog } from '../../../trainer/catalog/engines.ts';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { required } from '../../../trainer/narrow.ts';
import { estimateRecipe } from '../../../trainer/plan/memory/predict.ts';
import { readMetrics } from '../../../trainer/run/metrics-file.ts';
import { casesOn, listEngines } from '../../support/engines.ts';
import { pairRuns } from '../../support/runs/pair-runs.ts';
import { distanceOf, trainedTensors } from '../../support/runs/process-runs.ts';
import { type InProcess, runInProcess, stopAfter, trainRunsIn } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const { recipe, train } = pairRuns(task, 'dpo', context);
/** A separate cache, which does not contain the installed engines. */
const ownCache = join(task.folder, 'cache');
const trainAlone = trainRunsIn(task.folder, { ...context, cacheDir: ownCache }, recipe);
writeFileSync(
  join(task.folder, 'judged.jsonl'),
  Array.from({ length: 25 }, (_, n) => {
    const completion = n % 2 ? `ok ${n % 7}` : `no${'!'.repeat(3 + (n % 9))}`;
    return `${JSON.stringify({ prompt: `Q${n}: `, completion, label: n % 2 === 1 })}\n`;
  }).join(''),
);

const LIVE = 'preference.reference=live';
const STEPS = 4;

interface Case {
  readonly title: string;
  readonly settings: readonly string[];
  /** Tolerance if the weights are rounded to fewer bits. */
  readonly tolerance?: number;
}

const cases: readonly Case[] = [
  { title: 'rows, accumulated and clipped', settings: ['gradient_accumulation_steps=2', 'max_grad_norm=0.5'] },
  { title: 'lora with dropout, ipo', settings: ['method=lora', 'r=4', 'lora_dropout=0.2', 'preference.loss_type=ipo'] },
  { title: 'rows, their columns and norms', settings: ['dependencies=true', 'max_grad_norm=0'] },
  {
    title: 'judged answers with a reference point',
    settings: ['task=kto', 'data.train=judged.jsonl', 'data.eval=judged.jsonl', 'method=spsft+lora', 'ratio=0.1', 'r=4'],
  },
  { title: 'rows scored by the loss of pairs', settings: ['importance.measure=taylor', 'importance.samples=8'] },
  { title: 'rows in bfloat16', settings: ['dtype=bfloat16'], tolerance: 2e-3 },
];
/** Cases for engines that need seconds to compile each program. */
const few = new Set(cases.slice(0, 2));
/** The case that is also stopped and resumed on engines that are not built in: its base is copies of rows. */
const [resumedEverywhere] = cases;

const NUMBERS = ['loss', 'grad_norm', 'margin', 'kl', 'eval_loss', 'eval_margin', 'eval_kl'] as const;
const numbersOf = async (dir: string) => (await readMetrics(join(task.folder, dir))).map(line => NUMBERS.map(name => line[name] ?? 0));
const phasesOf = ({ events }: InProcess<unknown>) => events.flatMap(event => (event.type === 'phase' ? [event] : []));

for (const { name: engine, missing } of await listEngines())
  describe.skipIf(missing !== undefined)(`${engine}${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
    test.each(casesOn(engine, cases, one => few.has(one)))('$title', async one => {
      const { title, settings, tolerance = 1e-5 } = one;
      const all = [`engine=${engine}`, `max_steps=${STEPS}`, 'logging_steps=1', ...settings];
      const [live, cached] = [`${engine} ${title} live`, `${engine} ${title} cached`];
      const whole = await train(live, [...all, LIVE]);
      await train(cached, all);
      const [found, expected] = [await numbersOf(live), await numbersOf(cached)];
      expect(found).toHaveLength(expected.length);
      for (const [i, line] of expected.entries())
        for (const [j, value] of line.entries())
          expect(Math.abs((found[i]?.[j] ?? Number.NaN) - value), `${NUMBERS[j]}, line ${i}`).toBeLessThan(
            tolerance * Math.max(1, Math.abs(value)),
          );
      const [own, other] = await Promise.all([live, cached].map(dir => trainedTensors(join(task.folder, dir), STEPS)));
      expect(distanceOf(required(other, 'the weights'), required(own, 'the weights'))).toBeLessThan(10 * tolerance);

      if (!engineCatalog[engine].isBuiltIn && one !== resumedEverywhere) return;
      const parts = `${engine} ${title} parts`;
      const first = await train(parts, [...all, LIVE, 'save_strategy="no"'], stopAfter(2));
      const second = await runInProcess({ kind: 'resume', runDir: join(task.folder, parts), overrides: [], context });
      expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
      expect(second.value.after?.loss).toBe(whole.value.after?.loss);
    });
  });

test('without held-out samples, nothing is computed before the first update, and no file is kept', async () => {
  const run = await trainAlone('alone', ['max_steps=2', LIVE, 'data.eval=[]', 'importance.measure=magnitude']);
  expect(phasesOf(run).map(({ name }) => name)).not.toContain('reference');
  expect(existsSync(join(task.folder, 'alone', 'reference.safetensors'))).toBe(false);
  expect(run.losses.get(1)).toBeCloseTo(Math.LN2, 5);
});

test('a short run reads no more than its own batches, and held-out samples once', async () => {
  const reference = phasesOf(await trainAlone('held', ['max_steps=2', LIVE, 'importance.measure=magnitude'])).filter(
    ({ name }) => name === 'reference',
  );
  expect(reference.map(({ message }) => message)).toEqual(['log-probabilities of the base model on the held-out answers']);
});

test('the estimate prices the copies of rows, and both passes', async () => {
  const headers = await readModelHeaders(join(task.folder, 'model'));
  const priced = (...overrides: string[]) => estimateRecipe({ recipe: recipe('recompute=none', ...overrides), headers, compare: true });
  const [cached, live] = [priced(), priced(LIVE)];
  expect(live.trainedBytes - cached.trainedBytes).toBe(4 * live.trainable);
  expect(live.activationBytes).toBe(cached.activationBytes);
  const flopsOf = ({ levels }: typeof live) => required(levels[0], 'a level').flops;
  expect(flopsOf(live) / flopsOf(cached)).toBeGreaterThan(1.2);
  expect(flopsOf(live) / flopsOf(cached)).toBeLessThan(1.6);
  expect(priced(LIVE, 'method=lora', 'r=4').trainedBytes).toBe(priced('method=lora', 'r=4').trainedBytes);
  // A method that the recipe could not use is not an alternative.
  expect(cached.alternatives.map(({ method }) => method)).toContain('full');
  expect(live.alternatives.map(({ method }) => method)).not.toContain('full');
});

test('a method that trains every weight is refused by name, also where no recipe was checked', async () => {
  const headers = await readModelHeaders(join(task.folder, 'model'));
  const full = { ...recipe(LIVE), method: 'full' as const };
  expect(() => estimateRecipe({ recipe: full, headers })).toThrow(
    /^full trains every weight, so a base to compare with .*: set preference/,
  );
});
