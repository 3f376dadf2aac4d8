/**
 * Tests several processes over large data that start training before all samples are tokenized. Losses equal those of one process on the
 * whole batch.
 */
import { readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { RUN_FILES } from '../../trainer/protocol/run/run-files.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { makeTemporaryFolder } from '../support/machine/temporary-folder.ts';
import { IN_ORDER, makeLargeTask } from '../support/runs/large-task.ts';
import { FOUR_UPDATES, LOSS } from '../support/runs/process-cases.ts';
import { expectCloseMetrics, trainIn } from '../support/runs/process-runs.ts';
import { engineForTests } from '../unit/engine/engine-for-tests.ts';

const { engine, reason } = await engineForTests();
const task = makeLargeTask();
// A cache with the user's engines but its own tokens.
const ownCache = makeTemporaryFolder();
symlinkSync(join(cacheDir, 'engines'), join(ownCache, 'engines'));
const context = { ...task.context, cacheDir: ownCache };
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));

describe.skipIf(!engine)(`large data ${reason}`, () => {
  beforeAll(() => installMpi({ cacheDir, log: () => undefined }));

  it('is trained on by two processes as by one', async () => {
    const run = async (processes: number) => {
      const own = [`processes=${processes}`, `per_device_train_batch_size=${4 / processes}`];
      const runDir = join(task.folder, `run ${processes}`);
      const finished = await trainIn(runDir, task.recipe(...FOUR_UPDATES, ...IN_ORDER, ...own), context);
      expect(finished.last, JSON.stringify(finished.last)).toMatchObject({ type: 'result' });
      expect(readFileSync(join(runDir, RUN_FILES.log), 'utf8')).toContain('Samples are tokenized when training needs them.');
      return finished;
    };
    const one = await run(1);
    expect(one.metrics.length).toBeGreaterThan(3);
    expectCloseMetrics(one, await run(2), { names: ['loss', 'grad_norm'], bound: LOSS });
  });
});
