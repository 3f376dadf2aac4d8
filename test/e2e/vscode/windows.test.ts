/** Tests that a run does not depend on windows: two at once, one whose extension host is killed, and none; and that windows follow it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, shownState, stepsDone, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

describeEditor(
  'a run and its windows',
  ({ folder }) => writeLongRecipe(folder),
  session => {
    let first: Workbench;
    let second: Workbench;
    const run = () => readRun(session().task.folder);

    /** Expects that the run continues to write. */
    async function expectProgress(): Promise<void> {
      const { lines } = run();
      await until(() => run().lines > lines + 2, 'the run continues', START_MS);
      expect(run().state).toBe('running');
    }

    test('a run started in one window is shown in another', async () => {
      first = await session().open('first');
      second = await session().open('second');
      await first.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await stepsDone(first)) > 0, 'the first updates', START_MS);
      await second.runCommandOn('Rowtune: Open Run', 'mine');
      await until(async () => (await stepsDone(second)) > 0, 'the other window shows them', START_MS);
    });

    test('an extension host that is killed takes no run with it, and its window finds the run again', async () => {
      const extensionHosts = () =>
        session()
          .editor.processes()
          .filter(({ command }) => command.includes('--type=extensionHost'));
      await until(() => extensionHosts().length === 2, 'an extension host for each window');
      const hosts = extensionHosts();
      for (const { pid } of hosts) process.kill(pid, 'SIGKILL');
      await expectProgress();
      await second.reload();
      await second.runCommandOn('Rowtune: Open Run', 'mine');
      await until(async () => (await shownState(second)) === 'training', 'the window has found it again', START_MS);
    });

    test('a run continues with every window closed, and a new window can stop it', async () => {
      await first.close();
      await second.close();
      await expectProgress();
      const third = await session().open('third');
      await third.runCommandUntil('Rowtune: Stop and Save', () => run().state === 'stopped');
      await third.close();
    });

    test('the pages of a run close when its folder is deleted, though its window does not show the list of runs', async () => {
      const window = await session().open('deleted');
      await window.runCommandOn('Rowtune: Open Run', 'mine');
      await until(async () => (await shownState(window)) === 'stopped', 'the page', START_MS);
      rmSync(join(session().task.folder, 'runs', 'mine'), { recursive: true });
      await window.tab('Run: mine').waitFor({ state: 'detached' });
    });
  },
);
