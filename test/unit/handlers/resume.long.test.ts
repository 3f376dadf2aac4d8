/** Tests that a stopped and continued run has the losses of an uninterrupted one, bit for bit, on every installed engine. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCheckpoint } from '../../../trainer/adapter/find-checkpoint.ts';
import { engineCatalog } from '../../../trainer/catalog/engines.ts';
import type { TrainResult } from '../../../trainer/handlers/train/train-run.ts';
import { listCheckpoints } from '../../../trainer/run/checkpoint/checkpoint-folders.ts';
import { readMetrics } from '../../../trainer/run/metrics-file.ts';
import { summarizeRun } from '../../../trainer/run/run-folder.ts';
import { describeFailure } from '../../../trainer/run-error.ts';
import { casesOn, listEngines } from '../../support/engines.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
/** Cases for engines that need seconds to compile each program. */
const few = new Set(['lora with dropout', 'rows of an int8 base']);
/** Cases whose variables are, for an engine, of the same kinds as those of other cases; one engine runs them. */
const likeOthers = new Set([
  'spsft with dependencies',
  'full, packed, plain SGD with momentum',
  'lora from singular vectors, over nf4',
  'columns of an nf4 base',
]);

/** Cases that use all state of a run: order, dropout, accumulation, clipping, momentum, warm-up, windows of metrics. */
const cases: { name: string; settings: string[]; stopAt: number }[] = [
  { name: 'spsft, accumulated and clipped', settings: ['gradient_accumulation_steps=2', 'max_grad_norm=0.5', 'warmup_steps=2'], stopAt: 4 },
  { name: 'spsft of columns, in bfloat16', settings: ['trains=columns', 'dtype=bfloat16', 'max_grad_norm=0.5'], stopAt: 3 },
  { name: 'spsft of coupled channels', settings: ['trains=coupled', 'gradient_accumulation_steps=2'], stopAt: 3 },
  { name: 'spsft with dependencies', settings: ['dependencies=true', 'max_grad_norm=0'], stopAt: 3 },
  {
    name: 'lora with dropout',
    settings: ['method=lora', 'r=4', 'lora_dropout=0.2', 'max_grad_norm=0.5', 'lr_scheduler_type=cosine'],
    stopAt: 3,
  },
  {
    name: 'full, packed, plain SGD with momentum',
    settings: ['method=full', 'packing=true', 'optim=sgd', 'momentum=0.9', 'max_grad_norm=0'],
    stopAt: 2,
  },
  {
    name: 'lora over nf4 in bfloat16, moments in 8 bits',
    settings: ['method=lora', 'r=64', 'dtype=bfloat16', 'quantize=nf4', 'optim=adamw_8bit', 'max_grad_norm=0.5'],
    stopAt: 3,
  },
  { name: 'lora from singular vectors, over nf4', settings: ['method=lora', 'r=4', 'init_lora_weights=pissa', 'quantize=nf4'], stopAt: 3 },
  {
    name: 'lora from singular vectors, in bfloat16',
    settings: ['method=lora', 'r=4', 'init_lora_weights=pissa', 'dtype=bfloat16'],
    stopAt: 3,
  },
  { name: 'columns of an nf4 base', settings: ['quantize=nf4', 'trains=columns'], stopAt: 2 },
  { name: 'rows of an int8 base', settings: ['quantize=int8', 'dtype=bfloat16'], stopAt: 2 },
  { name: 'full in bfloat16, moments in 8 bits', settings: ['method=full', 'dtype=bfloat16', 'optim=adam_8bit'], stopAt: 2 },
];

for (const { name: engine, missing, runsAhead } of await listEngines())
  describe.skipIf(missing !== undefined)(`${engine}${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
    const own = cases.filter(({ name }) => engineCatalog[engine].isBuiltIn || !likeOthers.has(name));
    test.each(casesOn(engine, own, ({ name }) => few.has(name)))('$name', async ({ name, settings, stopAt }) => {
      const recipe = task.recipe(`engine=${engine}`, 'max_steps=6', 'save_strategy="no"', ...settings);
      const dir = join(task.folder, `${engine} ${name}`);
      const whole = await runInProcess({ kind: 'train', recipe, runDir: `${dir} whole`, context });
      const runDir = `${dir} parts`;
      const first = await runInProcess({ kind: 'train', recipe, runDir, context }, stopAfter(stopAt));
      const steps = runsAhead ? stopAt + 1 : stopAt;
      expect(first.value).toMatchObject({ state: 'stopped', steps, after: null });
      const second = await runInProcess({ kind: 'resume', runDir, overrides: [], context });
      expect(second.value).toMatchObject({ state: 'finished', steps: 6 });
      expect([...first.losses, ...second.losses]).toEqual([...whole.losses]);
      expect(second.value.after?.loss).toBe(whole.value.after?.loss);
      expect(second.value.before?.loss).toBe(whole.value.before?.loss);
      const logged = (await readMetrics(runDir)).filter(line => line.loss !== undefined).map(line => line.step);
      expect(logged).toEqual([1, 2, 3, 4, 5, 6]);
    });
  });

describe('an interruption at an awkward moment', () => {
  const settings = ['engine=portable', 'max_steps=4', 'load_best_model_at_end=true'];
  const every = ['save_strategy=steps', 'save_steps=2', 'eval_strategy=steps', 'eval_steps=2'];
  const linesOf = async (runDir: string) => (await readMetrics(runDir)).map(({ step, loss, eval_loss }) => ({ step, loss, eval_loss }));

  const saving = task.recipe(...settings, ...every);
  const whole = join(task.folder, 'evaluation whole');
  let expected: TrainResult;
  beforeAll(async () => {
    ({ value: expected } = await runInProcess({ kind: 'train', recipe: saving, runDir: whole, context }));
  });

  test.each([2, 4])('in the evaluation after update %i: the resumed run evaluates again', async step => {
    const runDir = join(task.folder, `evaluation ${step} parts`);
    let steps = 0;
    const first = await runInProcess({ kind: 'train', recipe: saving, runDir, context }, (event, job) => {
      if (event.type === 'metrics') steps = event.step;
      if (event.type === 'progress' && event.phase === 'evaluate' && steps === step)
        job.requestStop({ save: true, reason: 'the test says so' });
    });
    expect(first.value).toMatchObject({ state: 'stopped', steps: step });
    expect((await linesOf(runDir)).at(-1)?.eval_loss).toBeUndefined();
    const { value } = await runInProcess({ kind: 'resume', runDir, overrides: [], context });
    expect(value).toMatchObject({ state: 'finished', steps: 4 });
    expect(value.after?.loss).toBe(expected.after?.loss);
    expect(value.checkpoint?.split('/').at(-1)).toBe(expected.checkpoint?.split('/').at(-1));
    expect(await linesOf(runDir)).toEqual(await linesOf(whole));
  });

  test('before the first checkpoint: the resumed run keeps its changed settings', async () => {
    const runDir = join(task.folder, 'unsaved');
    const recipe = task.recipe('engine=portable', 'max_steps=4', 'save_strategy="no"');
    await runInProcess({ kind: 'train', recipe, runDir, context }, stopAfter(1, false));
    const { value } = await runInProcess({ kind: 'resume', runDir, overrides: ['max_steps=2'], context });
    expect(value).toMatchObject({ state: 'finished', steps: 2 });
    expect(readFileSync(join(runDir, 'recipe.yaml'), 'utf8')).toMatch(/^max_steps: 2$/m);
  });

  test('after a stop: a resumed run that crashes leaves its own newest checkpoint to continue from', async () => {
    const runDir = join(task.folder, 'broken');
    const recipe = task.recipe('engine=portable', 'max_steps=4', 'save_strategy=steps', 'save_steps=2');
    await runInProcess({ kind: 'train', recipe, runDir, context }, stopAfter(1));
    expect((await findCheckpoint(runDir))?.endsWith('step-000001')).toBe(true);
    const crash = runInProcess({ kind: 'resume', runDir, overrides: [], context }, event => {
      if (event.type === 'metrics' && event.step === 3) throw new Error('the power went out');
    });
    await expect(crash).rejects.toThrow('the power went out');
    expect((await findCheckpoint(runDir))?.endsWith('step-000002')).toBe(true);
  });
});

describe('what may change', () => {
  const runDir = join(task.folder, 'changes');
  const resume = (overrides: string[] = []) => runInProcess({ kind: 'resume', runDir, overrides, context });
  const failureOf = async (work: () => Promise<unknown>) =>
    work().then(
      () => undefined,
      error => describeFailure(error).event,
    );

  test('only the length of the run may change, and other settings are refused by name', async () => {
    const recipe = task.recipe('engine=portable', 'max_steps=2');
    await runInProcess({ kind: 'train', recipe, runDir, context });
    expect(await failureOf(() => resume())).toMatchObject({ code: 'nothing-left' });
    expect(await summarizeRun(runDir)).toMatchObject({ state: 'finished', step: 2, totalSteps: 2 });
    expect(await failureOf(() => resume(['learning_rate=1']))).toMatchObject({
      code: 'invalid-override',
      message: expect.stringContaining('learning_rate'),
    });
    expect(await failureOf(() => resume(['max_steps=many']))).toMatchObject({ code: 'invalid-override' });
    expect(await failureOf(() => resume(['max_steps=1']))).toMatchObject({
      code: 'nothing-left',
      message: expect.stringContaining('has completed 2 updates and cannot end after 1'),
    });
    expect((await resume(['max_steps=3'])).value).toMatchObject({ state: 'finished', steps: 3, totalSteps: 3 });
  });

  test('a recipe that was edited in between is refused by the name of the setting', async () => {
    const file = join(runDir, 'recipe.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/^weight_decay: .*$/m, 'weight_decay: 0.5'));
    const failure = await failureOf(() => resume(['max_steps=9']));
    expect(failure).toMatchObject({ code: 'checkpoint-mismatch', message: expect.stringContaining('weight_decay (0, now 0.5)') });
    writeFileSync(file, text);
  });

  test('a damaged newest checkpoint is passed over aloud', async () => {
    await resume(['max_steps=5']);
    const [older, newest] = await listCheckpoints(runDir);
    expect(older?.step).toBe(3);
    const file = join(newest?.folder ?? '', 'adapter_model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, 1000));
    const { value, events } = await resume(['max_steps=6']);
    expect(value).toMatchObject({ state: 'finished', steps: 6 });
    expect(events.some(event => event.type === 'log' && event.level === 'warning' && event.message.includes('damaged'))).toBe(true);
    expect(events.some(event => event.type === 'log' && event.message === 'continuing from step 3')).toBe(true);
  });

  test('other weights under the same name are refused', async () => {
    const weights = join(task.folder, 'model', 'model.safetensors');
    const bytes = readFileSync(weights);
    const changed = Buffer.from(bytes);
    changed.fill(0, changed.length - 4096);
    writeFileSync(weights, changed);
    expect(await failureOf(() => resume(['max_steps=9']))).toMatchObject({
      code: 'checkpoint-mismatch',
      message: expect.stringContaining('weights'),
    });
    writeFileSync(weights, bytes);
  });

  test('a folder that is not a run is refused', async () => {
    expect(await failureOf(() => runInProcess({ kind: 'resume', runDir: task.folder, overrides: [], context }))).toMatchObject({
      code: 'run-missing',
    });
  });
});
