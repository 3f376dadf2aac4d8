/** A whole run in a real editor: started, watched, reloaded, stopped, resumed, tried, exported, with every page that belongs to it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import type { Workbench } from './driver.ts';
import { describeEditor } from './session.ts';

/** Long enough to be reloaded, stopped and resumed in; the tiny model makes some hundred updates a second. */
const RECIPE = [
  'model: model',
  'method: spsft',
  'r: 8',
  'data: { train: train.jsonl, eval: heldout.jsonl, prompt: "{text}:" }',
  'max_length: 48',
  'learning_rate: 1.0e-3',
  'max_steps: 200000',
  'eval_strategy: steps',
  'eval_steps: 1000',
  'logging_steps: 50',
  'save_strategy: steps',
  'save_steps: 1000',
  'importance: { measure: taylor }',
  '',
].join('\n');

/** Loading, scoring and compiling come before the first update. */
const START_MS = 60_000;

describeEditor(
  'a run in the editor',
  ({ folder }) => writeFileSync(join(folder, 'mine.rowtune.yaml'), RECIPE),
  session => {
    let workbench: Workbench;
    const runDir = () => join(session().task.folder, 'runs', 'mine');
    const runState = () => (JSON.parse(readFileSync(join(runDir(), 'state.json'), 'utf8')) as { state: string }).state;
    const metricLines = () => readFileSync(join(runDir(), 'metrics.jsonl'), 'utf8').trimEnd().split('\n').length;

    /** What the page says of the run: "2,010 of 20,000 steps · …". */
    const facts = async () => (await (await workbench.webview('.run-facts', START_MS)).locator('.run-facts').textContent()) ?? '';
    const stepsDone = async () => Number(/^([\d,]+) of/.exec(await facts())?.[1]?.replaceAll(',', '') ?? 0);
    const pill = async () => (await workbench.webview('.run-facts')).locator('.run-title .pill').textContent();

    test('Start Training opens the page of the run, and its figures move', async () => {
      workbench = await session().open('training');
      await workbench.runCommand('Rowtune: Start Training');
      await workbench.pick('mine');
      await until(async () => (await stepsDone()) > 0, 'the first updates', START_MS);
      const before = await stepsDone();
      await until(async () => (await stepsDone()) > before + 100, 'the figures move', 20_000);
      expect(await pill()).toBe('training');
      await workbench.statusBarItem(/mine/).waitFor();
      await workbench.screenshot('run');
    });

    test('the heatmap shows every module, and a click opens one', async () => {
      await workbench.runCommand('Rowtune: Open Heatmap');
      await workbench.pick('mine');
      const page = await workbench.webview('.grid-view canvas');
      const grid = page.locator('.grid-view');
      await page.locator('.message').waitFor({ state: 'hidden' });
      const box = await grid.boundingBox();
      if (box === null) throw new Error('the grid has no size');
      await grid.click({ position: { x: box.width / 2, y: box.height / 2 } });
      const panel = page.locator('.cell-panel');
      await panel.waitFor();
      expect(await panel.locator('h2').textContent()).toMatch(/[01]/);
      expect(await panel.locator('.top-list tbody tr').count()).toBeGreaterThan(4);
      await workbench.screenshot('heatmap');
    });

    test('a window that is reloaded finds the run at work and its history complete', async () => {
      const lines = metricLines();
      await workbench.reload();
      await workbench.notification(/still running/).waitFor();
      await workbench.runCommand('Rowtune: Open Run');
      await workbench.pick('mine');
      expect(await pill()).toBe('training');
      const page = await workbench.webview('.run-facts');
      await page.getByRole('tab', { name: 'Values' }).click();
      const total = async () =>
        Number(
          /of ([\d,]+)$/
            .exec((await page.locator('.hint[role=status]', { hasText: /^lines/ }).textContent()) ?? '')?.[1]
            ?.replaceAll(',', ''),
        );
      await until(async () => (await total()) >= lines, `${lines} lines of history`, 10_000);
      while (await page.getByRole('button', { name: 'Earlier' }).isEnabled()) await page.getByRole('button', { name: 'Earlier' }).click();
      expect(await page.locator('tbody tr th').first().textContent()).toBe('0');
      await workbench.screenshot('reloaded');
    });

    test('Stop and Save leaves a checkpoint, and Resume goes on from it', async () => {
      await workbench.runCommand('Rowtune: Stop and Save');
      await until(() => runState() === 'stopped', 'the run stops', 30_000);
      await until(async () => (await pill()) === 'stopped', 'the page says so', 10_000);
      const stoppedAt = await stepsDone();
      await workbench.screenshot('stopped');
      await workbench.runCommand('Rowtune: Resume');
      await workbench.pick('mine');
      await until(async () => (await pill()) === 'training' && (await stepsDone()) > stoppedAt, 'it goes on', START_MS);
      await workbench.runCommand('Rowtune: Stop and Save');
      await until(() => runState() === 'stopped', 'the run stops again', 30_000);
      expect(await stepsDone()).toBeGreaterThan(stoppedAt);
    });

    test('the model answers, base beside tuned', async () => {
      await workbench.runCommand('Rowtune: Try the Model');
      await workbench.pick('mine');
      const page = await workbench.webview('textarea');
      await page.locator('textarea').first().fill('lunch at 3:');
      await page.locator('textarea').first().press('Control+Enter');
      await page.getByText('ham').first().waitFor({ timeout: START_MS });
      await workbench.screenshot('try');
    });

    test('the model is exported whole', async () => {
      await workbench.runCommand('Rowtune: Export');
      await workbench.pick('mine');
      await workbench.pick('Merged model');
      const target = join(session().task.folder, 'exported');
      await workbench.saveAs(target);
      await workbench.notification(/was exported to/).waitFor({ timeout: START_MS });
      expect(existsSync(join(target, 'model.safetensors'))).toBe(true);
      await workbench.screenshot('exported');
    });
  },
);
