/** Tests every page with only the keyboard: the Tab key reaches every control, its focus is visible, and it has a name. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { connectCompare } from '../../../client/pages/compare-host.ts';
import { connectData } from '../../../client/pages/data-host.ts';
import { connectHeatmap } from '../../../client/pages/heatmap-host.ts';
import type { ConnectPage, PageKind, PageState } from '../../../client/pages/page-services.ts';
import { connectRun } from '../../../client/pages/run-host.ts';
import { connectTry } from '../../../client/pages/try-host.ts';
import { findChromium, openWithHost } from '../../support/pages/browser-page.ts';
import { dataPageServices } from '../../support/pages/data-page-services.ts';
import { testServices } from '../../support/pages/page-host.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const executablePath = findChromium();
const task = makeTinyTask();
const runDirs = ['one', 'two'].map(name => join(task.folder, 'runs', name));
const [runDir = ''] = runDirs;
let browser: Browser;
const pages: Page[] = [];

beforeAll(async () => {
  if (executablePath === undefined) return;
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  for (const dir of runDirs) {
    const recipe = task.recipe('engine=portable', 'eval_strategy=steps', 'eval_steps=4', 'importance.measure=magnitude', 'max_steps=4');
    await runInProcess({ kind: 'train', recipe, runDir: dir, context: task.context });
  }
});
afterEach(async () => {
  for (const page of pages.splice(0)) await page.close();
});
afterAll(async () => {
  await browser?.close();
  rmSync(task.folder, { recursive: true, force: true });
});

async function open<ToPage>(kind: PageKind, connect: ConnectPage<ToPage>, state: PageState, services = testServices()): Promise<Page> {
  const { page } = await openWithHost(browser, kind, { connect, state, services });
  pages.push(page);
  return page;
}

/** Describes the focused element: what it is, whether its focus is visible, and whether it was focused before, ever or in this round. */
const look = (round: number): string => `(() => {
  const focused = document.activeElement;
  if (!focused || focused === document.body) return null;
  const isShown = [focused, focused.closest('label')].some(element => element && getComputedStyle(element).outlineStyle !== 'none');
  const name = focused.ariaLabel || focused.labels?.[0]?.textContent || focused.textContent || focused.title;
  const { reached } = focused.dataset;
  focused.dataset.reached = '${round}';
  return { what: focused.outerHTML.slice(0, 120), isShown, isNamed: Boolean(name?.trim()), isNew: !reached, isSecond: reached === '${round}' };
})()`;

/** Finds controls that the keyboard did not reach. One radio button represents its group, in which arrow keys move. */
const LEFT_OUT = `[...document.querySelectorAll('button, input, select, textarea, summary, [tabindex="0"]')]
  .filter(element => element.checkVisibility() && !element.disabled && element.tabIndex >= 0 && !('reached' in element.dataset))
  .filter(element => element.type !== 'radio' || ![...document.querySelectorAll('input[data-reached]')].some(other => other.name === element.name))
  .map(element => element.outerHTML.slice(0, 120))`;

const focusedForm = z.object({ what: z.string(), isShown: z.boolean(), isNamed: z.boolean(), isNew: z.boolean(), isSecond: z.boolean() });

/** Tabs through the page, and again while it is still being filled. */
async function expectKeyboard(page: Page): Promise<void> {
  const found: z.infer<typeof focusedForm>[] = [];
  let round = 0;
  const goRound = async (): Promise<{ leftOut: unknown; isFilled: boolean }> => {
    round++;
    // From the current focus to the end of the page, and then from its start.
    for (let isRound = false; !isRound; ) {
      await page.keyboard.press('Tab');
      const focused = focusedForm.nullable().parse(await page.evaluate(look(round)));
      isRound = focused?.isSecond === true;
      if (focused?.isNew) found.push(focused);
    }
    return { leftOut: await page.evaluate(LEFT_OUT), isFilled: found.length > 3 };
  };
  await expect.poll(goRound).toEqual({ leftOut: [], isFilled: true });
  expect(found.filter(({ isShown }) => !isShown).map(({ what }) => what)).toEqual([]);
  expect(found.filter(({ isNamed }) => !isNamed).map(({ what }) => what)).toEqual([]);
}

if (process.env.CI && executablePath === undefined) test('no Chromium on this machine', () => expect.fail('CI tries the pages in one'));

describe.skipIf(executablePath === undefined)(
  `pages by the keyboard${executablePath ? '' : ' (skipped: no Chromium on this machine)'}`,
  () => {
    test.each(['Log', 'Results', 'Memory', 'Coverage', 'Recipe', 'Values'])('a run, its %s', async tab => {
      const page = await open('run', connectRun, { runDir });
      await page.getByRole('log').getByText('finished after 4 updates').waitFor();
      await page.getByRole('tab', { name: 'Log' }).focus();
      while ((await page.evaluate('document.activeElement.textContent')) !== tab) await page.keyboard.press('ArrowRight');
      await page.getByRole('tabpanel', { name: tab }).waitFor();
      await expectKeyboard(page);
    });

    test('a comparison, its values opened', async () => {
      const page = await open('compare', connectCompare, { runDirs });
      await page.getByRole('slider', { name: /^Loss/ }).and(page.locator('[aria-valuetext*="two"]')).waitFor();
      await page.locator('summary', { hasText: 'Values' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('table', { name: /by step/ }).waitFor();
      await expectKeyboard(page);
    });

    test('a heatmap with a cell, and each neuron of it', async () => {
      const page = await open('heatmap', connectHeatmap, { sources: [{ path: runDir, label: 'one' }] });
      await page
        .getByText(/of [\d,]+ rows/)
        .first()
        .waitFor();
      await page.getByRole('grid').focus();
      await expect.poll(() => page.getByRole('gridcell').textContent()).toMatch(/mean /);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { level: 2 }).waitFor();
      await expectKeyboard(page);
      await page.getByRole('slider', { name: /neurons by position/ }).focus();
      await page.keyboard.press('Home');
      await page.getByText('neuron 0', { exact: true }).waitFor();
      await page.keyboard.press('ArrowRight');
      await page.getByText('neuron 1', { exact: true }).waitFor();
    });

    test('a heatmap as a table: a cell that is closed gives the focus back to where it was opened', async () => {
      const page = await open('heatmap', connectHeatmap, { sources: [{ path: runDir, label: 'one' }] });
      await page.getByRole('button', { name: 'Show the values as a table' }).press('Enter');
      const button = page.getByRole('table').getByRole('button').nth(3);
      await button.press('Enter');
      await page.getByRole('heading', { level: 2 }).waitFor();
      await page.keyboard.press('Escape');
      await expect.poll(() => button.evaluate(element => element === element.ownerDocument.activeElement)).toBe(true);
      await expectKeyboard(page);
    });

    test.each(['Samples', 'All samples', 'Columns'])('a preview of data, its %s', async tab => {
      const services = dataPageServices(task, 'model: model\ndata:\n  train: train.jsonl\n  prompt: "{text}:"\nmax_length: 48\n');
      const page = await open('data', connectData, { recipe: 'file:///tiny.rowtune.yaml', label: 'tiny' }, services);
      await page
        .getByText(/^Samples 1 to /)
        .first()
        .waitFor();
      await page.getByRole('tab', { name: 'Samples', exact: true }).focus();
      while ((await page.evaluate('document.activeElement.textContent')) !== tab) await page.keyboard.press('ArrowRight');
      await page.getByRole('tabpanel', { name: tab }).waitFor();
      await expectKeyboard(page);
    });

    test('a question to the model', async () => {
      const page = await open('try', connectTry, { model: 'model', revision: 'main', baseDir: task.folder, label: 'one' });
      await page.getByText('Ask something to see how the model answers.').waitFor();
      await page.keyboard.type('lunch at 3:');
      await page.locator('summary').focus();
      await page.keyboard.press('Enter');
      await page.getByLabel('Temperature').waitFor();
      await expectKeyboard(page);
    });
  },
);
