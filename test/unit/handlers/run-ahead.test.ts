/** Tests training on a session that runs ahead: an update starts before the previous loss is read, and no number changes. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { locatePjrt } from '../../../trainer/engine/install/pjrt-folder.ts';
import { PjrtSession } from '../../../trainer/engine/pjrt/session.ts';
import { runInProcess, stopAfter } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const isMissing = locatePjrt(makeTinyTask().context.cacheDir) === undefined;
const task = makeTinyTask();
const { context } = task;
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

const STEPS = 6;
const train = (name: string, settings: readonly string[], onEvent?: ReturnType<typeof stopAfter>) => {
  const recipe = task.recipe('engine=pjrt', `max_steps=${STEPS}`, 'logging_steps=1', ...settings);
  return runInProcess({ kind: 'train', recipe, runDir: join(task.folder, name), context }, onEvent);
};

/** Holds back the result of each training run until the next one is requested; a loop that waits for it would wait forever. */
function holdBack(isHeld: (run: number) => boolean, onAsked: (run: number) => void = () => undefined): { asked: number } {
  const seen = { asked: 0 };
  const waiting: (() => void)[] = [];
  const run = PjrtSession.prototype.run;
  vi.spyOn(PjrtSession.prototype, 'run').mockImplementation(async function (this: PjrtSession, signature, feeds) {
    if (!signature.startsWith('train')) return run.call(this, signature, feeds);
    onAsked(++seen.asked);
    for (const begin of waiting.splice(0)) begin();
    const next = isHeld(seen.asked) ? new Promise<void>(resolve => waiting.push(resolve)) : undefined;
    const outputs = await run.call(this, signature, feeds);
    await next;
    return outputs;
  });
  return seen;
}

describe.skipIf(isMissing)(`pjrt${isMissing ? ' (skipped: rowtune engine install --variant pjrt-cpu)' : ''}`, () => {
  test('asks for the next update before the loss is there, and the losses are the same bits', async () => {
    // Saving after each update leaves no update to run ahead.
    const one = await train('one by one', ['save_strategy=steps', 'save_steps=1']);
    const seen = holdBack(run => run > 1 && run < STEPS);
    const ahead = await train('ahead', ['save_strategy="no"']);
    expect(seen.asked).toBe(STEPS);
    expect([...ahead.losses]).toEqual([...one.losses]);
    expect(ahead.losses.size).toBe(STEPS);
  });

  test('begins no update before an evaluation or a checkpoint of the one before it', async () => {
    const order: string[] = [];
    const folder = join(task.folder, 'saves', 'checkpoints');
    const seen = holdBack(
      () => false,
      run => order.push(`${run}: ${existsSync(folder) ? readdirSync(folder).length : 0} saved`),
    );
    await train('saves', ['save_strategy=steps', 'save_steps=2', 'save_total_limit=9', 'eval_strategy=steps', 'eval_steps=3'], event => {
      if (event.type === 'metrics' && event.values.eval_loss !== undefined) order.push(`evaluated ${event.step} after ${seen.asked}`);
    });
    expect(order.filter(line => line.startsWith('evaluated'))).toEqual(
      expect.arrayContaining(['evaluated 3 after 3', 'evaluated 6 after 6']),
    );
    expect(order.filter(line => line.endsWith('saved'))).toEqual(
      [1, 2, 3, 4, 5, 6].map(run => `${run}: ${Math.floor((run - 1) / 2)} saved`),
    );
  });

  test('finishes the update that has begun when it is stopped, and saves that one', async () => {
    const stopped = await train('stopped', ['save_strategy="no"'], stopAfter(3));
    expect(stopped.value).toMatchObject({ state: 'stopped', steps: 4 });
    expect([...stopped.losses.keys()]).toEqual([1, 2, 3, 4]);
  });
});
