/**
 * Tests runs on several devices of one process, into which a PJRT plugin divides the processor. Losses, metrics and weights equal those of
 * one device on the whole batch.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkResult } from '../../trainer/cli/check-result.ts';
import { locatePjrt, ownPluginName, pjrtAddonIsCurrent, pjrtLibrary } from '../../trainer/engine/install/pjrt-folder.ts';
import type { FindRateResult } from '../../trainer/handlers/train/find-rate.ts';
import { required } from '../../trainer/narrow.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { startWorker } from '../support/daemon/worker.ts';
import { describeWith } from '../support/describe-with.ts';
import {
  CASE_OF_LENGTHS,
  expectResultOfOne,
  FOUR_UPDATES,
  LOSS,
  makeProcessData,
  type ProcessCase,
  processCases,
} from '../support/runs/process-cases.ts';
import { expectCloseMetrics, lossesOf, runJobOfRun, trainedTensors, trainIn } from '../support/runs/process-runs.ts';
import { makeTinyTask, type TinyTask } from '../support/runs/tiny-task.ts';

const found = locatePjrt(cacheDir);
const installed = found && pjrtAddonIsCurrent(found.folder) ? found : undefined;
const golden = join(import.meta.dirname, '..', 'golden');
const task = makeTinyTask({ lengths: 'one' });
const taskOfLengths = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-devices-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const { folder: made } of [task, taskOfLengths]) rmSync(made, { recursive: true, force: true });
});

const ENGINE = 'engine=pjrt';
/** The task of a case. Only one case has batches of several lengths here; with processes, all cases do. */
const taskOf = ({ title }: ProcessCase): TinyTask => (title === CASE_OF_LENGTHS ? taskOfLengths : task);
const settings = [...FOUR_UPDATES, ENGINE];
const ROWS = 4;
const on = (devices: number): string[] => [`devices=${devices}`, `per_device_train_batch_size=${ROWS / devices}`];

/**
 * Cases that sum in different ways: after the backward pass or during it, with accumulation, in the forward pass, or in a separate
 * signature.
 */
const CASES: ReadonlySet<string> = new Set([
  CASE_OF_LENGTHS,
  'RoSA, whose mask comes from the gradients of all',
  'LoRA with dropout, without clipping',
  'DoRA with packing',
  'full tuning with accumulation',
  "an encoder's own dropout",
  'batch norm over all processes',
  'judged answers, with one reference point and a pass of the base model for all processes',
  'pairs whose base each process reads while it trains, accumulated',
  'embeddings, whose wrong answers are those of all processes, with hard ones and short vectors too',
  'embeddings of triplets, which compare no samples',
]);

describeWith(
  'several devices of one process',
  installed,
  'run rowtune engine install --variant pjrt-cpu',
  ({ folder: pluginFolder, plugin }) => {
    beforeAll(() => makeProcessData(folder, { lengths: 'one' }));

    test.each(processCases.filter(({ title }) => CASES.has(title)))('$title: $processes devices give the result of one', processCase =>
      expectResultOfOne(processCase, { folder, task: taskOf(processCase), settings: [ENGINE], parts: 'devices' }),
    );

    test('evaluations, with questions of a benchmark, are divided among devices and give the result of one', async () => {
      const benchmarks = `benchmarks={openbookqa: ${join(golden, 'choice', 'openbookqa.jsonl')}}`;
      // Ten samples of several lengths in batches of 1: the last batches of a length are fewer than the devices.
      const evaluating = ['eval_strategy=steps', 'eval_steps=2', 'per_device_eval_batch_size=1', 'eval_benchmarks=true', benchmarks];
      const trainBy = (devices: number) =>
        trainIn(join(folder, `evaluated by ${devices}`), task.recipe(...settings, ...evaluating, ...on(devices)), task.context);
      const one = await trainBy(1);
      const names = ['eval_loss', 'eval_perplexity', 'eval_token_accuracy', 'eval_accuracy', 'eval_openbookqa'];
      expect(one.metrics.filter(line => line.eval_openbookqa !== undefined)).toHaveLength(3);
      for (const devices of [2, 4]) expectCloseMetrics(one, await trainBy(devices), { names, bound: LOSS });
    });

    test.each([
      ['taylor_row', 'by taylor_row on 2 devices'],
      ['magnitude', 'by magnitude\n'],
    ])('%s is scored where its data is', async (measure, text) => {
      const runDir = join(folder, `scored by ${measure}`);
      await trainIn(runDir, task.recipe(...settings, ...on(2), `importance.measure=${measure}`, 'max_steps=1'), task.context);
      expect(readFileSync(join(runDir, 'log.txt'), 'utf8')).toContain(text);
    });

    const dropping = ['method=lora', 'lora_dropout=0.2', 'lr_scheduler_type=constant'];

    test('a run is resumed to the bit, and by other numbers of devices with the same samples', async () => {
      const [wholeDir, runDir] = [join(folder, 'whole'), join(folder, 'resumed')];
      const whole = await trainIn(wholeDir, task.recipe(...settings, ...dropping, ...on(2)), task.context);
      await trainIn(runDir, task.recipe(...settings, ...dropping, ...on(2), 'max_steps=2'), task.context);
      const copies = [1, 4].map(devices => ({ devices, runDir: join(folder, `resumed by ${devices}`) }));
      for (const copy of copies) cpSync(runDir, copy.runDir, { recursive: true });
      const { last, metrics } = await runJobOfRun({ kind: 'resume', runDir, overrides: ['max_steps=4'], context: task.context });
      expect(last).toMatchObject({ type: 'result', value: { steps: 4 } });
      expect(lossesOf(whole.metrics)).toHaveLength(4);
      expect(lossesOf(metrics)).toEqual(lossesOf(whole.metrics));
      expect(await trainedTensors(runDir, 4)).toEqual(await trainedTensors(wholeDir, 4));
      for (const { devices, runDir: other } of copies) {
        const overrides = ['max_steps=4', `devices=${devices}`];
        const resumed = await runJobOfRun({ kind: 'resume', runDir: other, overrides, context: task.context });
        expect(resumed.last).toMatchObject({ type: 'result', value: { steps: 4 } });
        const losses = lossesOf(resumed.metrics);
        expect(losses).toHaveLength(4);
        // Only rounding may differ: other samples, or another mask, would change the second digit.
        for (const [i, loss] of lossesOf(whole.metrics).entries()) expect(losses[i]).toBeCloseTo(loss, 4);
      }
    });

    test('the curve of learning rates is that of one device', async () => {
      const curveBy = async (devices: number): Promise<FindRateResult> => {
        const recipe = task.recipe(...settings, ...on(devices));
        const request = { kind: 'find-rate', recipe, range: { min: 1e-5, max: 1e-1, steps: 12 }, context: task.context } as const;
        const { last } = await startWorker(request).ended;
        if (last?.type !== 'result') throw new Error(JSON.stringify(last));
        return checkResult('find-rate', last.value);
      };
      const [one, two] = [await curveBy(1), await curveBy(2)];
      expect(two.points.length).toBe(one.points.length);
      expect(one.points.length).toBeGreaterThan(5);
      for (const [i, { loss }] of one.points.entries())
        expect(Math.abs((two.points[i]?.loss ?? Number.NaN) - loss)).toBeLessThan(1e-4 * (1 + loss));
    });

    test('a number of devices that does not divide a batch is refused', async () => {
      const runDir = join(folder, 'undivided');
      await trainIn(runDir, task.recipe(...settings, ...on(2), 'max_steps=2'), task.context);
      const { last } = await runJobOfRun({ kind: 'resume', runDir, overrides: ['max_steps=4', 'devices=3'], context: task.context });
      expect(last).toMatchObject({
        type: 'failed',
        code: 'invalid-override',
        message: expect.stringContaining('have 4 rows, which 3 devices cannot divide evenly'),
      });
    });

    test('a killed run is resumed to the losses of one that was not', async () => {
      const [wholeDir, runDir] = [join(folder, 'not killed'), join(folder, 'killed')];
      const recipe = task.recipe(...settings, ...dropping, ...on(2), 'max_steps=100000', 'save_strategy=steps', 'save_steps=2');
      let killed: Promise<void> | undefined;
      const kill = async (): Promise<void> => {
        process.kill(required((await readRunState(runDir))?.pid, 'the process of the run'), 'SIGKILL');
      };
      const { last } = await startWorker({ kind: 'train', recipe, runDir, context: task.context }, event => {
        if (event.type === 'metrics' && event.step >= 4) killed ??= kill();
      }).ended;
      await killed;
      expect(last?.type).not.toBe('result');
      const saved = Number(/\d+$/.exec((await readdir(join(runDir, 'checkpoints'))).sort().at(-1) ?? '')?.[0]);
      const steps = `max_steps=${saved + 2}`;
      const resumed = await runJobOfRun({ kind: 'resume', runDir, overrides: [steps], context: task.context });
      expect(resumed.last).toMatchObject({ type: 'result', value: { steps: saved + 2 } });
      const whole = await trainIn(wholeDir, task.recipe(...settings, ...dropping, ...on(2), steps), task.context);
      expect(lossesOf(resumed.metrics)).toHaveLength(saved + 2);
      expect(lossesOf(resumed.metrics)).toEqual(lossesOf(whole.metrics));
    });

    test('a plugin with one device is refused with its reason', async () => {
      // A plugin for the processor that reports a single device.
      const cache = join(folder, 'cache');
      const library = join(folder, 'one-device.so');
      writeFileSync(join(folder, 'one-device.c'), oneDevicePlugin(pjrtLibrary({ folder: pluginFolder, plugin })));
      execFileSync('gcc', ['-shared', '-fPIC', '-o', library, join(folder, 'one-device.c'), '-ldl']);
      const own = join(cache, 'engines', ownPluginName(library));
      mkdirSync(own, { recursive: true });
      symlinkSync(join(pluginFolder, 'addon'), join(own, 'addon'));
      const wheel = { name: 'one-device', sha256: 'none' };
      const manifest = { format: 1, variant: 'plugin', version: '1', wheel, library, installedAt: '2026-01-01T00:00:00Z' };
      writeFileSync(join(own, 'manifest.json'), JSON.stringify(manifest));
      const context = { ...task.context, cacheDir: cache };
      const runDir = join(folder, 'one device');
      const { last } = await trainIn(runDir, task.recipe(...settings, ...on(2)), context);
      expect(last).toMatchObject({
        type: 'failed',
        code: 'unsupported',
        message: expect.stringMatching(/^devices: 2 is not possible: PJRT .*one-device.so.* has 1 device here$/),
        hint: expect.stringContaining('Set devices: 1'),
      });
      expect(readFileSync(join(runDir, 'log.txt'), 'utf8')).toContain('devices: 2 is not possible');
    });
  },
);

/** The source of a library with another plugin's functions that reports only the first of its devices. */
const oneDevicePlugin = (library: string): string => `
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
typedef void *(*Call)(void *);
struct Api { size_t size; void *extensions; size_t version_size; void *version_extensions; int major, minor; Call functions[1024]; };
struct Devices { size_t size; void *extensions; void *client; void *const *devices; size_t count; };
static struct Api api;
static Call all;
static void *first(void *argument) {
  void *error = all(argument);
  struct Devices *devices = argument;
  if (!error) devices->count = 1;
  return error;
}
const void *GetPjrtApi(void) {
  void *library = dlopen("${library}", RTLD_NOW | RTLD_LOCAL);
  const struct Api *found = ((const struct Api *(*)(void))dlsym(library, "GetPjrtApi"))();
  memcpy(&api, found, found->size);
  /* PJRT_Client_AddressableDevices */
  all = api.functions[16];
  api.functions[16] = first;
  return &api;
}`;
