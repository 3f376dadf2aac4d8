/**
 * Tests a run with only the keyboard: finds it in its view, opens it, stops it from its page, opens its heatmap from the menu, and inspects
 * a cell.
 */
import type { Frame } from 'playwright-core';
import { expect, test } from 'vitest';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, stepsDone, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

/** Maximum number of Tab stops; more than any page has. */
const MAX_TABS = 60;
/** Delay before a key without effect is pressed again: an element that was just focused ignores keys at first. */
const KEY_MS = 3000;

const comes = (holds: () => Promise<boolean>): Promise<boolean> =>
  until(holds, 'what a key does', KEY_MS).then(
    () => true,
    () => false,
  );

/** Returns the text or label of a page's focused element; empty if the focus is elsewhere. */
const focusedIn = (page: Frame): Promise<string> =>
  page.evaluate(`document.hasFocus() ? (document.activeElement?.ariaLabel ?? document.activeElement?.textContent ?? '') : ''`);

async function tabTo(workbench: Workbench, page: Frame, label: string): Promise<void> {
  for (let i = 0; i < MAX_TABS; i++) {
    if ((await focusedIn(page)).startsWith(label)) return;
    await workbench.press('Tab');
  }
  expect.fail(`Tab does not come to '${label}'`);
}

describeEditor(
  'a run by the keyboard',
  ({ folder }) => writeLongRecipe(folder),
  session => {
    let workbench: Workbench;

    async function goToRun(): Promise<void> {
      const row = workbench.page.getByRole('treeitem', { name: /^mine, / });
      // The tree remembers its row even while it has no focus.
      const hasFocus = () =>
        row.evaluate(
          element =>
            element.classList.contains('focused') &&
            element.closest('.monaco-list')?.contains(element.ownerDocument.activeElement) === true,
        );
      const isReached = async (): Promise<boolean> => {
        await workbench.press('ArrowDown');
        return hasFocus();
      };
      // A view that was empty until now had nothing to focus.
      const isThere = async (): Promise<boolean> => {
        await workbench.runCommand('Rowtune: Focus on Runs View');
        await row.waitFor();
        return comes(isReached);
      };
      await until(isThere, 'the run has the focus');
    }

    /** Presses a key on the run until it has its effect. */
    async function pressOnRun(key: string, hasEffect: () => Promise<boolean>): Promise<void> {
      const isThere = async (): Promise<boolean> => {
        await goToRun();
        await workbench.press(key);
        return comes(hasEffect);
      };
      await until(isThere, `what ${key} does to the run`);
    }

    test('its page is opened from the view, and stops it', async () => {
      workbench = await session().open('keyboard');
      await workbench.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await stepsDone(workbench)) > 0, 'the first updates', START_MS);
      await workbench.closeTab('Run: mine');
      await pressOnRun('Enter', async () => (await workbench.tab('Run: mine').count()) > 0);
      const page = await workbench.webview('.run-facts');
      await tabTo(workbench, page, 'Stop and Save');
      await workbench.screenshot('focus');
      await workbench.press('Enter');
      await until(() => readRun(session().task.folder).state === 'stopped', 'the run stops', START_MS);
    });

    test('its heatmap is opened from the menu, and a cell of it', async () => {
      // A run that just moved to another group is redrawn.
      await workbench.page.getByRole('treeitem', { name: /^Stopped/ }).waitFor();
      const entry = workbench.page.locator('.context-view .action-item.focused', { hasText: 'Open Heatmap' });
      const openHeatmap = async (): Promise<boolean> => {
        await pressOnRun('Shift+F10', async () => (await workbench.page.locator('.context-view .action-item').count()) > 0);
        await until(async () => {
          await workbench.press('ArrowDown');
          return (await entry.count()) > 0;
        }, 'the entry of the menu');
        await workbench.press('Enter');
        if (await comes(async () => (await workbench.tab('Heatmap: mine').count()) > 0)) return true;
        // The row was redrawn while its menu was open, so the editor forgot the run and opened a list.
        await workbench.press('Escape');
        return false;
      };
      await until(openHeatmap, 'the heatmap of the run');
      const page = await workbench.webview('.grid-view canvas');
      await page
        .getByText(/of [\d,]+ rows/)
        .first()
        .waitFor();
      await tabTo(workbench, page, 'Importance by layer and module');
      await workbench.press('ArrowDown');
      await workbench.press('Enter');
      await page.getByRole('slider', { name: /neurons by position/ }).waitFor();
      await tabTo(
        workbench,
        page,
        `${(await page.getByRole('slider', { name: /neurons by position/ }).getAttribute('aria-label')) ?? '?'}`,
      );
      await workbench.press('ArrowRight');
      await page.getByText('neuron 1', { exact: true }).waitFor();
      await workbench.screenshot('neuron');
      await workbench.press('Escape');
      await expect.poll(() => focusedIn(page)).toMatch(/^Importance by layer/);
    });
  },
);
