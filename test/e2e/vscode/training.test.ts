/** A whole run in a real editor: started, watched, reloaded, stopped, resumed, tried, exported, with every page that belongs to it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, shownState, stepsDone, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

describeEditor(
  'a run in the editor',
  ({ folder }) => writeLongRecipe(folder),
  session => {
    let workbench: Workbench;
    const run = () => readRun(session().task.folder);
    const waitForState = (state: string) => until(() => run().state === state, `the run is ${state}`, START_MS);

    test('Start Training opens the page of the run, and its figures move', async () => {
      workbench = await session().open('training');
      await workbench.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await stepsDone(workbench)) > 0, 'the first updates', START_MS);
      const before = await stepsDone(workbench);
      await until(async () => (await stepsDone(workbench)) > before + 100, 'the figures move', START_MS);
      expect(await shownState(workbench)).toBe('training');
      await workbench.statusBarItem(/mine/).waitFor();
      await workbench.screenshot('run');
    });

    test('the heatmap shows every module, and a click opens one', async () => {
      await workbench.runCommandOn('Rowtune: Open Heatmap', 'mine');
      const page = await workbench.webview('.grid-view canvas');
      const grid = page.locator('.grid-view');
      await page.locator('.message').waitFor({ state: 'hidden' });
      const box = await grid.boundingBox();
      if (box === null) throw new Error('the grid has no size');
      await grid.click({ position: { x: box.width / 2, y: box.height / 2 } });
      const panel = page.locator('.cell-panel');
      await panel.waitFor();
      await expect.poll(() => panel.locator('h2').textContent()).toMatch(/[01]/);
      await expect.poll(() => panel.locator('.top-list tbody tr').count()).toBeGreaterThan(4);
      await workbench.screenshot('heatmap');
    });

    test('a window that is reloaded finds the run at work and its history complete', async () => {
      const { lines } = run();
      await workbench.reload();
      await workbench.notification(/still running/).waitFor();
      await workbench.runCommandOn('Rowtune: Open Run', 'mine');
      await until(async () => (await shownState(workbench)) === 'training', 'the page says so', START_MS);
      const page = await workbench.webview('.run-facts');
      await page.getByRole('tab', { name: 'Values' }).click();
      const where = page.locator('.hint', { hasText: /^lines \d/ });
      const total = async () => Number(/of ([\d,]+)$/.exec((await where.textContent()) ?? '')?.[1]?.replaceAll(',', ''));
      await until(async () => (await total()) >= lines, `${lines} lines of history`, START_MS);
      const earlier = page.getByRole('button', { name: 'Earlier' });
      // The newest page moves along with each new line until an earlier one is chosen, so one look at the button is not enough.
      const showsFirstLine = async (): Promise<boolean> => {
        if (await earlier.isEnabled()) await earlier.click();
        return (await page.locator('tbody tr th').first().textContent()) === '0';
      };
      await until(showsFirstLine, 'the page that begins with step 0', START_MS);
      await workbench.screenshot('reloaded');
    });

    test('Stop and Save leaves a checkpoint, and Resume goes on from it', async () => {
      await workbench.runCommand('Rowtune: Stop and Save');
      await waitForState('stopped');
      await until(async () => (await shownState(workbench)) === 'stopped', 'the page says so', START_MS);
      const stoppedAt = await stepsDone(workbench);
      await workbench.screenshot('stopped');
      await workbench.runCommandOn('Rowtune: Resume', 'mine');
      const goesOn = async () => (await shownState(workbench)) === 'training' && (await stepsDone(workbench)) > stoppedAt;
      await until(goesOn, 'it goes on', START_MS);
      await workbench.runCommand('Rowtune: Stop and Save');
      await waitForState('stopped');
      expect(await stepsDone(workbench)).toBeGreaterThan(stoppedAt);
    });

    test('the model answers, base beside tuned', async () => {
      await workbench.runCommandOn('Rowtune: Try the Model', 'mine');
      const page = await workbench.webview('textarea');
      await page.locator('textarea').first().fill('lunch at 3:');
      await page.locator('textarea').first().press('Control+Enter');
      await page.getByText('ham').first().waitFor({ timeout: START_MS });
      await workbench.screenshot('try');
    });

    test('the model is exported whole', async () => {
      await workbench.runCommandOn('Rowtune: Export', 'mine');
      await workbench.pick('Merged model');
      const target = join(session().task.folder, 'exported');
      await workbench.saveAs(target, 'mine-merged');
      await workbench.notification(/was exported to/).waitFor({ timeout: START_MS });
      expect(existsSync(join(target, 'model.safetensors'))).toBe(true);
      await workbench.screenshot('exported');
    });
  },
);
