/**
 * Tests runs of two processes on the PJRT engine over MPI, whose gradients pass through the host, and of devices of one process. Results equal
 * those of one process.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { locatePjrt, pjrtAddonIsCurrent } from '../../trainer/engine/install/pjrt-folder.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { describeWith } from '../support/describe-with.ts';
import { CASE_OF_LENGTHS, ENDLESS, expectResultOfOne, FOUR_UPDATES, makeProcessData, processCases } from '../support/runs/process-cases.ts';
import { expectLostRank, expectToContinue, lossesOf, runJobOfRun, trainedTensors, trainIn } from '../support/runs/process-runs.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';

const found = locatePjrt(cacheDir);
const installed = found && pjrtAddonIsCurrent(found.folder) ? found : undefined;
const task = makeTinyTask({ lengths: 'one' });
const taskOfLengths = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-pjrt-processes-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  for (const { folder: made } of [task, taskOfLengths]) rmSync(made, { recursive: true, force: true });
});

const ENGINE = 'engine=pjrt';
/** Size of the largest file in the folder of programs that is not a program, in bytes. */
const LARGEST_RECORD = 2000;
const settings = [...FOUR_UPDATES, ENGINE];

describeWith('several processes on the PJRT engine', installed, 'run rowtune engine install --variant pjrt-cpu', () => {
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    await makeProcessData(folder, { lengths: 'one' });
  });

  // Each division compiles for seconds, so all but one case are divided among processes and devices in turn.
  const exchanging = processCases.filter(({ exchange }) => exchange);
  const divided = exchanging.map((one, i) => {
    const isWhole = one.title === CASE_OF_LENGTHS;
    const parts = isWhole
      ? (['processes', 'devices'] as const)
      : one.onDevices && i % 2 === 0
        ? (['devices'] as const)
        : (['processes'] as const);
    return { ...one, parts, task: isWhole ? taskOfLengths : task };
  });
  test.each(divided)('$title: $processes $parts give the result of one', one =>
    expectResultOfOne(one, { folder, task: one.task, settings: [ENGINE], divisions: one.parts.map(parts => ({ parts })) }),
  );

  test('the ranks compile each program once', async () => {
    const fresh = join(folder, 'cache');
    const programs = join(fresh, 'programs');
    mkdirSync(programs, { recursive: true });
    symlinkSync(join(cacheDir, 'engines'), join(fresh, 'engines'));
    // A process that has compiled a program first writes it to a file with its own number in the name.
    const compiledBy = new Map<string, Set<string>>();
    const watcher = watch(programs, (_, file) => {
      const [, program, pid] = /^(\w+\.program)\.(\d+)$/.exec(file ?? '') ?? [];
      if (program !== undefined && pid !== undefined) compiledBy.set(program, (compiledBy.get(program) ?? new Set()).add(pid));
    });
    const recipe = task.recipe(...settings, 'per_device_train_batch_size=2', 'processes=2');
    const { last } = await trainIn(join(folder, 'once'), recipe, { ...task.context, cacheDir: fresh });
    watcher.close();
    expect(last).toMatchObject({ type: 'result' });
    // The other files describe the device and the memory of programs.
    const compiled = [...compiledBy].filter(([file]) => statSync(join(programs, file)).size > LARGEST_RECORD);
    console.log(`${compiled.length} programs by process ${compiled.map(([, pids]) => [...pids].join(' and '))}`);
    expect(compiled.length).toBeGreaterThan(0);
    for (const [file, pids] of compiled) expect([file, pids.size]).toEqual([file, 1]);
  });

  test('a run is resumed to the bit, with what int8 has lost', async () => {
    const narrow = ['gradient_exchange_dtype=int8', 'lr_scheduler_type=constant', 'per_device_train_batch_size=2', 'processes=2'];
    const [wholeDir, runDir] = [join(folder, 'whole'), join(folder, 'resumed')];
    const whole = await trainIn(wholeDir, task.recipe(...settings, ...narrow), task.context);
    await trainIn(runDir, task.recipe(...settings, ...narrow, 'max_steps=2'), task.context);
    const { last, metrics } = await runJobOfRun({ kind: 'resume', runDir, overrides: ['max_steps=4'], context: task.context });
    expect(last).toMatchObject({ type: 'result', value: { steps: 4 } });
    expect(lossesOf(whole.metrics)).toHaveLength(4);
    expect(lossesOf(metrics)).toEqual(lossesOf(whole.metrics));
    expect(await trainedTensors(runDir, 4)).toEqual(await trainedTensors(wholeDir, 4));
  });

  test('a killed rank ends both for one reason, and the run continues', async () => {
    const runDir = join(folder, 'killed');
    const recipe = task.recipe(...settings, ...ENDLESS, 'per_device_train_batch_size=2', 'processes=2');
    // A healthy rank may be silent for seconds on a busy machine.
    const context = { ...task.context, silentSeconds: 120 };
    await expectLostRank({ recipe, runDir, context, signal: 'SIGKILL', victim: 1 }, /^rank 1 \(process \d+\) was killed \(SIGKILL\)/);
    await expectToContinue(runDir, task.context);
  });
});
