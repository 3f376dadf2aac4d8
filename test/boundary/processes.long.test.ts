/**
 * Tests runs of several processes over MPI, started by the mpiexec in PyPI's wheel. Losses, metrics and weights equal those of one process
 * on the whole batch.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { findMpi } from '../../trainer/engine/mpi/find-mpi.ts';
import { isRecord } from '../../trainer/narrow.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { cacheDir, ROWTUNE } from '../support/daemon/daemon.ts';
import { pairRuns } from '../support/runs/pair-runs.ts';
import {
  ENDLESS,
  exchangeCases,
  expectResultOfOne,
  FOUR_UPDATES,
  LOSS,
  makeProcessData,
  processCases,
} from '../support/runs/process-cases.ts';
import {
  expectLostRank,
  expectToContinue,
  lossesOf,
  runJobOfRun,
  trainedTensors,
  trainHere,
  trainIn,
} from '../support/runs/process-runs.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-processes-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(task.folder, { recursive: true, force: true });
});

/** Returns the value with its numbers as matchers of numbers within 5e-6: sums have a different order. */
function close(value: unknown): unknown {
  if (typeof value === 'number') return expect.closeTo(value, 5);
  if (Array.isArray(value)) return value.map(close);
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, close(part)])) : value;
}

const NARROWEST = 'gradient_exchange_dtype=int8';

describe.skipIf(!engine)(`several processes ${reason}`, () => {
  beforeAll(async () => {
    await installMpi({ cacheDir, log: () => undefined });
    await makeProcessData(folder);
  });

  // Cases that every transport can run are in processes-grpc.long.test.ts.
  test.each(processCases.filter(each => !exchangeCases.includes(each)))(
    '$title: $processes processes give the result of one',
    processCase => expectResultOfOne(processCase, { folder, task }),
  );

  test('two processes answer held-out prompts as one does, and a reward model scores them alike', async () => {
    await pairRuns(task, 'reward', task.context).train('rewards', ['max_steps=2', 'learning_rate=0.02', 'method=full']);
    const settings = [
      ...['method=lora', 'learning_rate=0.03', 'eval_strategy=epoch', 'eval_generation.max_new_tokens=4'],
      ...['eval_generation.checks=[exact_match, rouge_l, pattern]', 'eval_generation.pattern=^.[a-m]', 'eval_generation.max_samples=7'],
      'eval_generation.reward_model=rewards',
    ];
    const run = async (processes: number) => {
      const own = [`processes=${processes}`, `per_device_train_batch_size=${4 / processes}`];
      const { last } = await trainIn(join(folder, `answers ${processes}`), task.recipe(...FOUR_UPDATES, ...settings, ...own), task.context);
      return last?.type === 'result' && isRecord(last.value) ? last.value : {};
    };
    const [one, several] = [await run(1), await run(2)];
    for (const at of ['before', 'after']) {
      const [expected, found] = [one[at], several[at]];
      if (!isRecord(expected) || !isRecord(found)) throw new Error(`no evaluation ${at} training`);
      expect(expected.answers).not.toHaveLength(0);
      expect(found.answers).toEqual(close(expected.answers));
      for (const name of ['exact_match', 'rouge_l', 'pattern', 'reward', ...(at === 'after' ? ['reward_gain', 'reward_win_rate'] : [])])
        expect(found.measures).toHaveProperty(name, close(isRecord(expected.measures) ? expected.measures[name] : undefined));
    }
  });

  test('a run is resumed by another number of processes as if nothing had happened', async () => {
    const settings = [...FOUR_UPDATES, 'method=lora', 'lora_dropout=0.2', 'lr_scheduler_type=constant'];
    const whole = await trainHere(join(folder, 'whole'), task.recipe(...settings, 'per_device_train_batch_size=4'), task.context);
    const runDir = join(folder, 'resumed');
    const divided = ['per_device_train_batch_size=2', 'processes=2'];
    await trainIn(runDir, task.recipe(...settings, 'max_steps=2', ...divided), task.context);
    const overrides = ['max_steps=4', 'processes=1'];
    const { last, metrics } = await runJobOfRun({ kind: 'resume', runDir, overrides, context: task.context });
    expect(last).toMatchObject({ type: 'result', value: { steps: 4 } });
    const [expected, found] = [lossesOf(whole.metrics), lossesOf(metrics)];
    expect(found).toHaveLength(4);
    for (const [i, loss] of expected.entries()) expect(Math.abs((found[i] ?? 0) - loss)).toBeLessThan(LOSS * (1 + loss));
  });

  test('what int8 loses of gradients is in the checkpoint, so a resumed run continues to the bit', async () => {
    const settings = [...FOUR_UPDATES, NARROWEST, 'lr_scheduler_type=constant', 'per_device_train_batch_size=2', 'processes=2'];
    const [wholeDir, runDir] = [join(folder, 'int8 whole'), join(folder, 'int8 resumed')];
    const whole = await trainIn(wholeDir, task.recipe(...settings), task.context);
    await trainIn(runDir, task.recipe(...settings, 'max_steps=2'), task.context);
    const { metrics } = await runJobOfRun({ kind: 'resume', runDir, overrides: ['max_steps=4'], context: task.context });
    expect(lossesOf(whole.metrics)).toHaveLength(4);
    expect(lossesOf(metrics)).toEqual(lossesOf(whole.metrics));
    expect(await trainedTensors(runDir, 4)).toEqual(await trainedTensors(wholeDir, 4));
    // With another number of processes, the rounding errors are shared among them.
    const { last } = await runJobOfRun({
      kind: 'resume',
      runDir,
      overrides: ['max_steps=5', 'processes=4'],
      context: task.context,
    });
    expect(last).toMatchObject({ type: 'result', value: { steps: 5 } });
    expect(readFileSync(join(runDir, 'log.txt'), 'utf8')).toContain('continues with the sum of the rounding errors of all');
  });

  test('a rank with another recipe is refused before anything is trained', async () => {
    const recipe = join(task.folder, 'task.rowtune.yaml');
    writeFileSync(recipe, task.text);
    const runDir = join(folder, 'differs');
    const rank = (...settings: string[]): string[] => [
      ...['-n', '1', process.execPath, ROWTUNE, 'train', recipe, '--json', `output_dir=${runDir}`, ...FOUR_UPDATES, ...settings],
    ];
    const { status, output } = await runCommand(findMpi(cacheDir, process.env).launcher, [...rank('r=8'), ':', ...rank('r=4')], {
      env: { ROWTUNE_CACHE: cacheDir },
    });
    expect(status).not.toBe(0);
    expect(output).toContain('rank 1 has a different recipe from rank 0: recipe: \\"r: 4\\" instead of \\"r: 8\\"');
    expect(await readMetrics(runDir)).toEqual([]);
  });

  // hostile.long.test.ts kills ranks.
  test('SIGSTOP to rank 0 ends all ranks for one reason, and the run continues', async () => {
    const runDir = join(folder, 'SIGSTOP');
    const recipe = task.recipe(...FOUR_UPDATES, ...ENDLESS, 'per_device_train_batch_size=2', 'processes=2');
    // On a busy machine, a healthy rank may be silent for seconds.
    const context = { ...task.context, silentSeconds: 10 };
    const reason = /^rank 0 has shown no sign of life for 10 s/;
    await expectLostRank({ recipe, runDir, context, signal: 'SIGSTOP', victim: 0 }, reason);
    expect(await readRunState(runDir)).toMatchObject({ state: 'failed', reason: expect.stringMatching(reason) });
    await expectToContinue(runDir, task.context);
  });
});
