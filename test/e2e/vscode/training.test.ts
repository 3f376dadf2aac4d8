/** Tests a whole run in a real editor: started, watched, reloaded, stopped, and resumed. */
import { expect, test } from 'vitest';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, shownState, stepsDone, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

describeEditor(
  'a run in the editor',
  ({ folder }) => writeLongRecipe(folder),
  session => {
    let workbench: Workbench;
    const run = () => readRun(session().task.folder);
    const stop = () => workbench.runCommandUntil('Rowtune: Stop and Save', () => run().state === 'stopped');

    test('Start Training opens the page of the run, and its figures move', async () => {
      workbench = await session().open('training');
      await workbench.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await stepsDone(workbench)) > 0, 'the first updates', START_MS);
      const before = await stepsDone(workbench);
      await until(async () => (await stepsDone(workbench)) > before + 100, 'the figures move', START_MS);
      await expect.poll(() => shownState(workbench)).toBe('training');
      await workbench.statusBarItem(/mine/).waitFor();
      await workbench.screenshot('run');
    });

    test('the heatmap shows every module, and a click opens one', async () => {
      await workbench.runCommandOn('Rowtune: Open Heatmap', 'mine');
      const page = await workbench.webview('.grid-view canvas');
      const grid = page.locator('.grid-view');
      await page.locator('.message').waitFor({ state: 'hidden' });
      const panel = page.locator('.cell-panel');
      // The grid is in its final position once everything above it is.
      const opensOne = async (): Promise<boolean> => {
        const box = await grid.boundingBox();
        if (box !== null && !(await panel.isVisible())) await grid.click({ position: { x: box.width / 2, y: box.height / 2 } });
        return panel.isVisible();
      };
      await until(opensOne, 'the cell that was clicked', START_MS);
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
      // The newest page moves with each new line until an earlier page is chosen, so checking the button once is not enough.
      const showsFirstLine = async (): Promise<boolean> => {
        if (await earlier.isEnabled()) await earlier.click();
        return (await page.locator('tbody tr th').first().textContent()) === '0';
      };
      await until(showsFirstLine, 'the page that begins with step 0', START_MS);
      await workbench.screenshot('reloaded');
    });

    test('Stop and Save leaves a checkpoint, and Resume continues from it, which its stages say', async () => {
      await stop();
      await until(async () => (await shownState(workbench)) === 'stopped', 'the page says so', START_MS);
      const stoppedAt = await stepsDone(workbench);
      await workbench.screenshot('stopped');
      const page = await workbench.webview('.run-facts');
      // Stages come and go, so record all of them.
      await page.evaluate(`globalThis.stages = new Set();
        new MutationObserver(() => document.querySelectorAll('.stage-text').forEach(stage => stages.add(stage.textContent)))
          .observe(document.body, { childList: true, subtree: true });`);
      await workbench.runCommandOn('Rowtune: Resume', 'mine');
      const goesOn = async () => (await shownState(workbench)) === 'training' && (await stepsDone(workbench)) > stoppedAt;
      await until(goesOn, 'it continues', START_MS);
      const stages = String(await page.evaluate('[...stages].join()'));
      expect(stages).toContain(`previously trained: ${stoppedAt.toLocaleString('en-US')} of 200,000 steps`);
      expect(stages).not.toMatch(/scoring rows/i);
      await stop();
      await expect.poll(() => stepsDone(workbench)).toBeGreaterThan(stoppedAt);
    });
  },
);
