/** Tests the pages of runs in a real browser with real run folders and their real hosts, by mouse and keyboard. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connectCompare } from '../../../client/pages/compare-host.ts';
import { connectRun } from '../../../client/pages/run-host.ts';
import type { CompareFromPage, CompareToPage } from '../../../trainer/protocol/view/compare.ts';
import type { RunFromPage, RunToPage } from '../../../trainer/protocol/view/run.ts';
import { until } from '../../support/machine/until.ts';
import { type BrowserPage, findChromium, openInBrowser, openWithHost } from '../../support/pages/browser-page.ts';
import { testServices } from '../../support/pages/page-host.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const executablePath = findChromium();
const task = makeTinyTask();
const runDir = join(task.folder, 'runs', 'spam');
const other = join(task.folder, 'runs', 'other');
let browser: Browser;
const ends: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  if (executablePath === undefined) return;
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const recipe = task.recipe('engine=portable', 'eval_strategy=steps', 'eval_steps=4', 'name=spam');
  await runInProcess({ kind: 'train', recipe, runDir, context: task.context });
  cpSync(runDir, other, { recursive: true });
  for (const [file, from, to] of [
    ['state.json', '"spam"', '"other"'],
    ['recipe.yaml', 'learning_rate: 0.005', 'learning_rate: 0.25'],
  ] as const)
    writeFileSync(join(other, file), readFileSync(join(other, file), 'utf8').replace(from, to));
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(async () => {
  await browser?.close();
  rmSync(task.folder, { recursive: true, force: true });
});

async function openRun(of = runDir): Promise<BrowserPage<RunFromPage>> {
  const shown = await openWithHost<RunFromPage, RunToPage>(browser, 'run', {
    connect: connectRun,
    state: { runDir: of },
    services: testServices(),
  });
  ends.push(() => shown.page.close());
  return shown;
}

/** Saves a picture in dist/screenshots, for people. */
const picture = (page: Page, name: string): Promise<unknown> =>
  page.screenshot({ path: join(import.meta.dirname, '..', '..', '..', 'dist', 'screenshots', `${name}.png`) });

describe.skipIf(executablePath === undefined)(
  `pages in a browser${executablePath ? '' : ' (skipped: no Chromium on this machine)'}`,
  () => {
    test('a run is drawn under the strict policy, and every chart says what it shows', async () => {
      const { page, errors } = await openRun();
      await page
        .getByRole('slider', { name: /^Memory/ })
        .and(page.locator('[aria-valuetext^="step 12"]'))
        .waitFor();
      await expect.poll(() => page.getByRole('heading', { level: 1 }).textContent()).toBe('spam');
      expect(await page.getByRole('main').count()).toBe(1);
      await expect.poll(() => page.locator('.pill').textContent()).toBe('finished');
      const charts = page.locator('.chart-plot');
      await expect.poll(() => charts.count()).toBe(6);
      for (const chart of await charts.all()) expect(await chart.getAttribute('aria-valuetext')).toMatch(/^step 12: .*\d/);
      const canvases = page.locator('.chart-plot canvas');
      await expect.poll(() => canvases.count()).toBe(6);
      for (const canvas of await canvases.all()) expect(await canvas.getAttribute('aria-label')).toMatch(/^[A-Z].* by step$/);
      const said = page.locator('.visually-hidden[role=status]');
      await expect.poll(() => said.textContent()).toMatch(/^spam finished, 12 of 12 steps/);
      expect(errors).toEqual([]);
    });

    test('the keyboard moves one cursor over all charts, zooms, and comes back', async () => {
      const { page } = await openRun();
      const loss = page.getByRole('slider', { name: /^Loss/ });
      await loss.and(page.locator('[aria-valuetext^="step 12"]')).waitFor();
      await loss.focus();
      await page.keyboard.press('ArrowLeft');
      await page.keyboard.press('ArrowLeft');
      await expect.poll(() => loss.getAttribute('aria-valuetext')).toMatch(/^step 10: training [\d.]+, held-out/);
      await expect.poll(() => page.getByRole('slider', { name: /^Learning rate/ }).getAttribute('aria-valuenow')).toBe('10');
      await expect.poll(() => page.locator('.chart-where').textContent()).toBe('step 10');
      const showAll = page.getByRole('button', { name: 'Show All' });
      await expect.poll(() => showAll.isDisabled()).toBe(true);
      await page.keyboard.press('+');
      await expect.poll(() => showAll.isDisabled()).toBe(false);
      await page.keyboard.press('0');
      await expect.poll(() => showAll.isDisabled()).toBe(true);
    });

    test('the mouse: the values under it, a drag zooms, a double click shows all', async () => {
      const { page } = await openRun();
      const loss = page.getByRole('slider', { name: /^Loss/ });
      await loss.and(page.locator('[aria-valuetext^="step 12"]')).waitFor();
      const over = loss.locator('.u-over');
      // Elements move while the page is still being filled.
      await page.getByRole('log').getByText('finished after 12 updates').waitFor();
      await over.hover();
      const area = await over.boundingBox();
      if (!area) throw new Error('no chart');
      const middle = area.y + area.height / 2;
      await page.mouse.move(area.x + area.width / 2, middle);
      await until(async () => (await page.locator('.chart-where').textContent()) === 'step 6', 'the step under the mouse');
      await page.mouse.down();
      await page.mouse.move(area.x + area.width * 0.75, middle, { steps: 5 });
      await page.mouse.up();
      const showAll = page.getByRole('button', { name: 'Show All' });
      await until(() => showAll.isEnabled(), 'the zoom');
      await page.mouse.dblclick(area.x + area.width / 2, middle);
      await until(() => showAll.isDisabled(), 'all of it');
    });

    test('charts are redrawn when the theme changes', async () => {
      const { page, errors } = await openRun();
      const canvas = page.locator('.chart-plot canvas').first();
      await canvas.waitFor();
      await until(
        async () => (await page.locator('.chart-plot').first().getAttribute('aria-valuetext'))?.startsWith('step 12') === true,
        'the curve',
      );
      const before = await canvas.screenshot();
      await page.evaluate(
        `document.documentElement.style.setProperty('--vscode-charts-blue', '#ff00ff'); document.body.className = 'vscode-high-contrast'`,
      );
      await until(async () => !before.equals(await canvas.screenshot()), 'other colors');
      expect(errors).toEqual([]);
    });

    test('details by keyboard: values as a table, the log searched; the choice outlives a reload', async () => {
      const shown = await openRun();
      const { page } = shown;
      await page.getByRole('log').getByText('finished after 12 updates').waitFor();
      await page.getByRole('searchbox').fill('finished after');
      await until(async () => (await page.locator('.log-list li').count()) === 1, 'one entry');
      await page.getByRole('tab', { name: 'Log' }).focus();
      await page.keyboard.press('End');
      const rows = page.getByRole('tabpanel', { name: 'Values' }).locator('tbody tr');
      await until(async () => (await rows.count()) === 16, '12 updates and 4 evaluations');
      await page.getByRole('slider', { name: 'Smoothing' }).fill('0');
      await shown.reload();
      await until(async () => (await rows.count()) === 16, 'the same again');
      await expect.poll(() => page.locator('.smoothing-value').textContent()).toBe('off');
      await page.getByRole('button', { name: 'Export CSV' }).click();
      await until(() => shown.said.some(({ type }) => type === 'save'), 'the file');
      const file = shown.said.find(message => message.type === 'save');
      expect(file).toMatchObject({
        suggestedName: 'spam-metrics.csv',
        content: expect.stringMatching(/^step,epoch,loss,learning_rate,grad_norm,eval_loss,/),
      });
    });

    test('memory, coverage, recipe and results say what the files say', async () => {
      const { page } = await openRun();
      await page.getByRole('tab', { name: 'Results' }).click();
      await page.getByRole('row', { name: /^Loss [\d.]+ [\d.]+ −[\d.]+/ }).waitFor();
      const confusion = page.getByRole('table', { name: /Confusion matrix/ });
      await confusion.waitFor();
      await expect.poll(() => confusion.getByRole('columnheader').allTextContents()).toEqual(['ham', 'spam']);
      const counts = await confusion.getByRole('cell').allTextContents();
      expect(counts.reduce((sum, text) => sum + Number(text), 0)).toBe(10);
      await page.getByRole('tab', { name: 'Memory' }).click();
      await page.getByRole('row', { name: /^Optimizer/ }).waitFor();
      await page.getByRole('row', { name: /^mem_TTL/ }).waitFor();
      await page.getByRole('tab', { name: 'Coverage' }).click();
      const coverage = page.getByRole('tabpanel', { name: 'Coverage' });
      await coverage.getByText(/trains 7,680 of 78,144 parameters/).waitFor();
      await expect.poll(() => page.locator('.coverage-grid .covered').count()).toBe(14);
      await page.getByRole('tab', { name: 'Recipe' }).click();
      const recipe = page.getByRole('tabpanel', { name: 'Recipe' });
      await recipe.getByRole('row', { name: /^seed 42/ }).waitFor();
      const all = await recipe.getByRole('row').count();
      await recipe.getByRole('checkbox').check();
      await expect.poll(() => recipe.getByRole('row').count()).toBeLessThan(all);
      await expect.poll(() => recipe.getByRole('row', { name: /^r 8/ }).count()).toBe(1);
    });

    test('in a narrow panel, the page does not scroll sideways, and no column is too narrow to read', async () => {
      const { page } = await openRun();
      await page.setViewportSize({ width: 300, height: 900 });
      await page.getByRole('log').getByText('finished after 12 updates').waitFor();
      for (const tab of await page.getByRole('tab').all()) {
        await tab.click();
        expect(await page.evaluate('document.documentElement.scrollWidth'), (await tab.textContent()) ?? '').toBe(300);
      }
      for (const [tab, text] of [
        ['Log', '.log-text'],
        ['Recipe', '.recipe td:has(.value)'],
      ] as const) {
        await page.getByRole('tab', { name: tab }).click();
        expect((await page.locator(text).last().boundingBox())?.width, tab).toBeGreaterThan(100);
      }
    });

    test('the processes of a run are rows of a table', async () => {
      const { page, post } = await openInBrowser<RunFromPage>(browser, 'run', { runDir });
      ends.push(() => page.close());
      const facts = {
        host: 'node7',
        residentBytes: 1.2e9,
        peakBytes: 1.5e9,
        secondsPerUpdate: 2,
        exchangeSeconds: 0.3,
        bytesPerUpdate: 19e6,
      };
      const ranks = [0, 1].map(rank => ({ ...facts, rank, pid: 100 + rank, waitedSeconds: 0.1 + 0.4 * rank }));
      await page.getByRole('tab', { name: 'Memory' }).click();
      await post({ type: 'memory', memory: JSON.parse(readFileSync(join(runDir, 'memory.json'), 'utf8')) });
      await post({ type: 'ranks', ranks: { step: 40, ranks } });
      const table = page.getByRole('table', { name: 'Processes at step 40' });
      await table.getByRole('row', { name: '0 node7 1.2 GB 1.5 GB 2 5.0% 19.0 MB' }).waitFor();
      await table.getByRole('row', { name: '1 node7 1.2 GB 1.5 GB 2 25.0% 19.0 MB' }).waitFor();
    });

    test('a run on a cluster: its place, its log, and no button that would disturb it', async () => {
      const shown = await openInBrowser<RunFromPage>(browser, 'run', { runDir });
      ends.push(() => shown.page.close());
      const { page } = shown;
      const run = { runDir, name: 'spam', step: 0, totalSteps: 0, startedAt: '', updatedAt: '', ageSeconds: 0, resumable: false };
      const job = { jobId: '12', log: '/w/runs/spam.slurm/log-12.txt' };
      const waits = { ...job, phase: 'waiting', text: 'pending (Resources), behind 3 jobs' };
      await shown.post({ type: 'overview', overview: { ...run, state: 'queued', cluster: waits } });
      await page.getByText('Slurm job 12: pending (Resources), behind 3 jobs', { exact: true }).waitFor();
      expect(await page.locator('.pill').textContent()).toBe('queued');
      await picture(page, 'cluster-waits');
      await page.getByRole('button', { name: 'Open Job Log' }).click();
      await until(() => shown.said.some(message => message.type === 'action' && message.action === 'jobLog'), 'the log');
      const cluster = { ...job, phase: 'running', text: 'running on n1', node: 'n1' };
      await shown.post({ type: 'overview', overview: { ...run, state: 'running', step: 3, totalSteps: 9, cluster } });
      await page.getByText('Slurm job 12: running on n1', { exact: true }).waitFor();
      const stop = page.getByRole('button', { name: 'Stop and Save' });
      expect(await stop.isDisabled()).toBe(false);
      const ofSweep = { ...run, state: 'running', step: 3, totalSteps: 9, cluster, sweepDir: '/w/runs/many' };
      await shown.post({ type: 'overview', overview: ofSweep });
      await until(() => stop.isDisabled(), 'no stop of one run of a sweep');
      expect(await stop.getAttribute('title')).toContain('rowtune runs --stop /w/runs/many');
      await picture(page, 'cluster-trains');
    });

    test('Abort asks first, and a run started in a terminal has no stop button', async () => {
      const shown = await openInBrowser<RunFromPage>(browser, 'run', { runDir });
      ends.push(() => shown.page.close());
      const overview = {
        runDir,
        name: 'spam',
        state: 'running',
        step: 3,
        totalSteps: 9,
        startedAt: '',
        updatedAt: '',
        ageSeconds: 0,
        resumable: false,
      };
      await shown.post({ type: 'overview', overview: { ...overview, job: { id: '1', state: 'running' } } });
      const { page } = shown;
      await page.getByRole('button', { name: 'Abort', exact: true }).click();
      await page.getByRole('button', { name: 'Keep Training' }).click();
      await page.getByRole('button', { name: 'Abort', exact: true }).click();
      await page.getByRole('button', { name: 'Abort without Saving' }).click();
      await page.getByRole('button', { name: 'Stop and Save' }).click();
      await until(() => shown.said.length === 3, 'what was pressed');
      expect(shown.said).toEqual([{ type: 'ready' }, { type: 'action', action: 'abort' }, { type: 'action', action: 'stop' }]);
      await shown.post({ type: 'overview', overview });
      await until(() => page.getByRole('button', { name: 'Stop and Save' }).isDisabled(), 'no stop');
    });

    test('a run that is deleted keeps its curves, and offers nothing that needs its files', async () => {
      const lost = join(task.folder, 'runs', 'lost');
      cpSync(runDir, lost, { recursive: true });
      const { page } = await openRun(lost);
      const actions = page.getByRole('toolbar', { name: 'Actions' }).getByRole('button');
      await expect.poll(() => actions.count()).toBeGreaterThan(2);
      rmSync(lost, { recursive: true });
      await expect.poll(() => page.locator('.run-reason').textContent()).toContain('It may have been deleted');
      await expect.poll(() => actions.count()).toBe(0);
      await page.getByRole('slider', { name: /^Loss/ }).and(page.locator('[aria-valuetext^="step 12"]')).waitFor();
    });

    test('compared runs show where they are on the cluster', async () => {
      const shown = await openInBrowser<CompareFromPage>(browser, 'compare', { runDirs: [runDir, other] });
      ends.push(() => shown.page.close());
      const { page, post } = shown;
      await post({ type: 'runs', runDirs: [runDir, other] });
      const run = { name: 'spam', state: 'running', step: 3, totalSteps: 9, startedAt: '', updatedAt: '', ageSeconds: 0, resumable: false };
      const placed = { runDir, ...run, cluster: { jobId: '12', phase: 'running', text: 'running on n3', node: 'n3' } };
      await post({ type: 'patch', runDir: other, patch: { type: 'overview', overview: { runDir: other, ...run } } });
      await page.getByRole('row', { name: /^.*other running – 3/ }).waitFor();
      await expect.poll(() => page.getByRole('button', { name: 'Cluster' }).count()).toBe(0);
      await post({ type: 'patch', runDir, patch: { type: 'overview', overview: placed } });
      await page.getByRole('row', { name: /spam running running on n3 – 3/ }).waitFor();
      await picture(page, 'cluster-compare');
    });

    test('a run that is gone is compared as missing, and not as one with equal settings', async () => {
      const shown = await openWithHost<CompareFromPage, CompareToPage>(browser, 'compare', {
        connect: connectCompare,
        state: { runDirs: [runDir, join(task.folder, 'runs', 'gone')] },
        services: testServices(),
      });
      ends.push(() => shown.page.close());
      await shown.page.getByRole('row', { name: /gone missing/ }).waitFor();
      await shown.page.getByText('Only one recipe is known.').waitFor();
    });

    test('two runs compared: curves, results in order, settings that differ', async () => {
      const runDirs = [runDir, other];
      const shown = await openWithHost<CompareFromPage, CompareToPage>(browser, 'compare', {
        connect: connectCompare,
        state: { runDirs },
        services: testServices(),
      });
      ends.push(() => shown.page.close());
      const { page, said, errors } = shown;
      const loss = page.getByRole('slider', { name: /^Loss/ });
      await expect.poll(() => loss.getAttribute('aria-valuetext')).toMatch(/^step 12: spam [\d.]+, other [\d.]+/);
      expect(await page.getByRole('main').getByRole('heading', { level: 1 }).count()).toBe(1);
      const results = page.getByRole('region', { name: 'Results' }).locator('tbody tr');
      await until(async () => (await results.count()) === 2, 'both results');
      await page.getByRole('button', { name: 'Run', exact: true }).click();
      await expect.poll(() => results.first().locator('th').textContent()).toBe('other');
      const recipes = page.getByRole('region', { name: 'Recipes' }).locator('tbody tr');
      await expect.poll(() => recipes.allTextContents()).toEqual(['learning_rate0.0050.25']);
      await page.getByRole('checkbox', { name: 'All settings' }).check();
      await expect.poll(() => recipes.count()).toBeGreaterThan(20);
      await page.setViewportSize({ width: 300, height: 900 });
      for (const cell of await recipes.first().locator('td').all()) expect((await cell.boundingBox())?.width).toBeGreaterThan(90);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(300);
      const shows = page.getByRole('checkbox', { name: 'Show the curves of other' });
      await shows.focus();
      await page.keyboard.press('Space');
      await until(async () => !((await loss.getAttribute('aria-valuetext')) ?? '').includes('other'), 'one curve');
      // The row is redrawn while the key is pressed.
      await expect.poll(() => shows.isChecked()).toBe(false);
      await expect.poll(() => shows.evaluate(box => box === box.ownerDocument.activeElement)).toBe(true);
      await page.getByRole('button', { name: 'Remove other from the comparison' }).click();
      await until(async () => (await results.count()) === 1, 'one result');
      expect(said.at(-1)).toEqual({ type: 'remove', runDir: other });
      expect(errors).toEqual([]);
    });
  },
);
