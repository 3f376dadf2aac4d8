/**
 * Tests runs on several devices of one process, into which a PJRT plugin divides the processor. Losses, metrics and weights equal those of
 * one device on the whole batch.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
import { expectResultOfOne, FOUR_UPDATES, LOSS, makeProcessData, processCases } from '../support/runs/process-cases.ts';
import { expectCloseMetrics, lossesOf, runJobOfRun, savedStep, trainedTensors, trainIn } from '../support/runs/process-runs.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';

const found = locatePjrt(cacheDir);
const installed = found && pjrtAddonIsCurrent(found.folder) ? found : undefined;
const golden = join(import.meta.dirname, '..', 'golden');
const task = makeTinyTask({ lengths: 'one' });
const folder = mkdtempSync(join(tmpdir(), 'rowtune-devices-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(task.folder, { recursive: true, force: true });
});

const ENGINE = 'engine=pjrt';
const settings = [...FOUR_UPDATES, ENGINE];
const ROWS = 4;
const on = (devices: number): string[] => [`devices=${devices}`, `per_device_train_batch_size=${ROWS / devices}`];

describeWith(
  'several devices of one process',
  installed,
  'run rowtune engine install --variant pjrt-cpu',
  ({ folder: pluginFolder, plugin }) => {
    beforeAll(() => makeProcessData(folder, { lengths: 'one' }));

    // Cases with an exchange of their own are in processes-pjrt.long.test.ts. Every other one of the rest, because each compiles for seconds.
    test.each(processCases.filter(({ onDevices, exchange }) => onDevices && !exchange).filter((_, i) => i % 2 === 0))(
      '$title: $processes devices give the result of one',
      one => expectResultOfOne(one, { folder, task, settings: [ENGINE], divisions: [{ parts: 'devices' }] }),
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
      expectCloseMetrics(one, await trainBy(4), { names, bound: LOSS });
    });

    test.each([
      ['taylor_row', 'by taylor_row on 2 devices'],
      ['magnitude', 'by magnitude\n'],
    ])('%s is scored where its data is', async (measure, text) => {
      const runDir = join(folder, `scored by ${measure}`);
      await trainIn(runDir, task.recipe(...settings, ...on(2), `importance.measure=${measure}`, 'max_steps=1'), task.context);
      expect(readFileSync(join(runDir, 'log.txt'), 'utf8')).toContain(text);
    });

    test('a killed run is resumed to the bit, and by other numbers of devices with the same samples', async () => {
      const dropping = ['method=lora', 'lora_dropout=0.2', 'lr_scheduler_type=constant'];
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
      const steps = (await savedStep(runDir)) + 2;
      const resumedIn = (place: string, ...overrides: readonly string[]) =>
        runJobOfRun({ kind: 'resume', runDir: place, overrides: [`max_steps=${steps}`, ...overrides], context: task.context });
      const copyFor = (devices: number): string => {
        const copy = join(folder, `resumed by ${devices}`);
        cpSync(runDir, copy, { recursive: true });
        return copy;
      };
      const copies = [1, 4].map(devices => ({ devices, copy: copyFor(devices) }));
      const refused = await resumedIn(copyFor(3), 'devices=3');
      expect(refused.last).toMatchObject({
        type: 'failed',
        code: 'invalid-override',
        message: expect.stringContaining('have 4 rows, which 3 devices cannot divide evenly'),
      });
      const whole = await trainIn(wholeDir, task.recipe(...settings, ...dropping, ...on(2), `max_steps=${steps}`), task.context);
      const resumed = await resumedIn(runDir);
      expect(resumed.last).toMatchObject({ type: 'result', value: { steps } });
      expect(lossesOf(resumed.metrics)).toHaveLength(steps);
      expect(lossesOf(resumed.metrics)).toEqual(lossesOf(whole.metrics));
      expect(await trainedTensors(runDir, steps)).toEqual(await trainedTensors(wholeDir, steps));
      for (const { devices, copy } of copies) {
        const other = await resumedIn(copy, `devices=${devices}`);
        expect(other.last).toMatchObject({ type: 'result', value: { steps } });
        const losses = lossesOf(other.metrics);
        expect(losses).toHaveLength(steps);
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
