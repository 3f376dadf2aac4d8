/** Tests the first hour of a new user: a number shown in two places is the same, and nothing is offered that a run does not have. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compact, percent } from '../../../trainer/protocol/text/format.ts';
import { metricsLine, parseLines } from '../../support/files/read-json.ts';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { START_MS, shownState } from './long-run.ts';
import { describeEditor } from './session.ts';

const rest = (data: string): string =>
  `data: { train: ${data}.jsonl, eval: heldout.jsonl }\nmax_length: 48\nmax_steps: 8\nlogging_steps: 3\n`;
const RECIPES: Readonly<Record<string, string>> = {
  // Sorts first by name, but Start Training must not offer it first while another recipe is open.
  adapter: `name: tuned\nmodel: model\nmethod: lora\nr: 4\n${rest('train').replace(' }', ', format: text }')}`,
  // Its model is not a classifier.
  classes: `model: model\ntask: sequence_classification\nr: 8\n${rest('train')}`,
  foreign:
    'base_model: model\nload_in_8bit: false\nadapter: lora\nlora_r: 8\ndatasets:\n  - path: train.jsonl\nmicro_batch_size: 2\nsequence_len: 48\n',
  short: `model: model\nr: 5\n${rest('train').replace(' }', ', prompt: "{text}:" }')}`,
};

describeEditor(
  'the first hour',
  ({ folder }) => {
    for (const [name, text] of Object.entries(RECIPES)) writeFileSync(join(folder, `${name}.rowtune.yaml`), text);
  },
  session => {
    let workbench: Workbench;
    const inFolder = (...names: string[]): string => join(session().task.folder, ...names);
    /** The newest value of each metric. */
    const metrics = (run: string): Readonly<Record<string, number>> => {
      return Object.assign({}, ...parseLines(readFileSync(inFolder('runs', run, 'metrics.jsonl'), 'utf8'), metricsLine));
    };
    const metric = (run: string, name: string): number => metrics(run)[name] ?? Number.NaN;
    const ends = (run: string, state: string) => until(async () => (await shownState(workbench)) === state, `${run} is ${state}`, START_MS);
    const train = async (recipe: string, run: string, state: string): Promise<void> => {
      await workbench.openFile(`${recipe}.rowtune.yaml`);
      await workbench.runCommandUntil('Rowtune: Train This Recipe', workbench.tab(`Run: ${run}`));
      await ends(run, state);
    };
    const actions = async () => (await workbench.webview('.run-facts')).locator('.run-actions button:visible').allTextContents();
    const inTree = (run: string, value: string): Promise<void> =>
      workbench.page.getByRole('treeitem', { name: new RegExp(`^${run}, Finished, .*${value.replaceAll('.', '\\.')}`) }).waitFor();

    test('Fix All converts the recipe of another tool completely', async () => {
      workbench = await session().open('first-hour');
      await workbench.openFile('foreign.rowtune.yaml');
      await workbench.squiggles('error').first().waitFor();
      await workbench.screenshot('foreign');
      await workbench.runCommandUntil('Fix All', workbench.page.locator('.view-line', { hasText: /^method:/ }));
      await workbench.squiggles('error').first().waitFor({ state: 'detached' });
      await workbench.screenshot('converted');
      await workbench.save();
      const text = readFileSync(inFolder('foreign.rowtune.yaml'), 'utf8');
      expect(text).toMatch(/^model: model$/m);
      expect(text).not.toMatch(/int8|base_model|micro_batch_size/);
    });

    test('Start Training offers the recipe in the editor first', async () => {
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommand('Rowtune: Start Training');
      const names = workbench.page.locator('.quick-input-list .monaco-list-row .label-name');
      await expect.poll(() => names.allTextContents()).toEqual(['short', 'adapter', 'classes', 'foreign']);
      await workbench.screenshot('start');
      await workbench.pick('short');
      await ends('short', 'finished');
    });

    test('the page of the run and the tree show one loss and one held-out loss', async () => {
      const held = compact(metric('short', 'eval_loss'));
      const page = await workbench.webview('.run-facts');
      const legend = page.locator('.chart-item');
      const shown = async (label: string) =>
        legend
          .filter({ has: page.locator('.chart-label', { hasText: new RegExp(`^${label}$`) }) })
          .locator('.chart-value')
          .first()
          .textContent();
      await expect.poll(() => shown('training')).toBe(compact(metric('short', 'loss')));
      await expect.poll(() => shown('held-out')).toBe(held);
      await workbench.screenshot('curves');
      await page.getByRole('tab', { name: 'Results' }).click();
      await page.locator('.results strong', { hasText: held }).first().waitFor();
      await workbench.screenshot('results');
      await workbench.runCommandUntil('Rowtune: Focus on Runs View', workbench.page.getByRole('treeitem', { name: /^short, / }));
      await inTree('short', `accuracy ${percent(metric('short', 'eval_accuracy'))}`);
      expect((await workbench.offered('Rowtune')).has('Compare Runs')).toBe(false);
      await workbench.runCommandUntil('View: Show Explorer', workbench.page.locator('.explorer-folders-view'));
    });

    test('a run without scores has no heatmap: of LoRA, or one that failed before it scored', async () => {
      await train('adapter', 'tuned', 'finished');
      await expect.poll(actions).toEqual(['Try', 'Export', 'Open Folder']);
      await workbench.screenshot('adapter');
      await train('classes', 'classes', 'failed');
      await expect.poll(actions).toEqual(['Open Folder']);
      await workbench.screenshot('failed');
    });

    test('the tree, Compare, Evaluate, and the file of metrics have the same loss of each run', async () => {
      const held = compact(metric('tuned', 'eval_loss'));
      await workbench.runCommandUntil('Rowtune: Focus on Runs View', workbench.page.getByRole('treeitem', { name: /^tuned, / }));
      await inTree('tuned', `held-out loss ${held}`);
      await workbench.screenshot('tree');
      await workbench.runCommandOnEach('Rowtune: Compare Runs', ['short', 'tuned']);
      const page = await workbench.webview('.compared-run');
      for (const run of ['short', 'tuned'])
        await page
          .getByRole('row', { name: run })
          .getByText(compact(metric(run, 'loss')), { exact: true })
          .first()
          .waitFor();
      await workbench.screenshot('compare');
      await workbench.runCommandOn('Rowtune: Evaluate', 'tuned');
      await workbench
        .notification(new RegExp(`tuned: loss ${held.replace('.', '\\.')}, .*samples`))
        .first()
        .waitFor({ timeout: START_MS });
    });

    test('the heatmap fills while the scores are computed, with the budget of the recipe', async () => {
      await workbench.runCommandUntil('View: Show Explorer', workbench.page.locator('.explorer-folders-view'));
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Compute Importance', workbench.tab('Heatmap: short'));
      const page = await workbench.webview('.toolbar .slider');
      const isWrong = async (): Promise<boolean> =>
        (await page.locator('.problem').isVisible()) || /NaN|Infinity/.test((await page.locator('body').textContent()) ?? '');
      await until(
        async () => {
          expect(await isWrong()).toBe(false);
          return existsSync(inFolder('short.scores.safetensors')) && (await page.locator('.message').isHidden());
        },
        'the scores',
        START_MS,
      );
      // The scale of the legend is that of the scores.
      await expect.poll(() => page.locator('.legend-ticks span').count()).toBeGreaterThan(1);
      expect(await isWrong()).toBe(false);
      await expect.poll(() => page.locator('.slider input.number').inputValue()).toBe('5');
      await workbench.screenshot('heatmap');
    });

    test('a prompt is written as the run was trained with it, and the answer says so', async () => {
      await workbench.runCommandOn('Rowtune: Try the Model', 'short');
      const page = await workbench.webview('textarea');
      await page.locator('textarea').fill('lunch at 3');
      await page.locator('textarea').press('Control+Enter');
      const tuned = page.getByRole('region', { name: 'Tuned' });
      await tuned.getByText(/as in training/).waitFor({ timeout: START_MS });
      await page
        .getByRole('region', { name: 'Base' })
        .getByText(/as in training/)
        .waitFor({ timeout: START_MS });
      await workbench.screenshot('try');
    });

    test('the model is exported whole', async () => {
      await workbench.runCommandOn('Rowtune: Export', 'short');
      await workbench.pick('Merged model');
      await workbench.pick('As the base model (float32 if that is a GGUF file)');
      const target = inFolder('exported');
      await workbench.saveAs(target, 'short-merged');
      await workbench.notification(/was exported to/).waitFor({ timeout: START_MS });
      expect(existsSync(join(target, 'model.safetensors'))).toBe(true);
      await workbench.screenshot('exported');
      await workbench.pressNotification(/was exported to/, 'Show Folder');
      const row = workbench.page.locator('.explorer-folders-view .monaco-list-row', { hasText: /^exported$/ });
      await row.and(workbench.page.locator('.selected')).waitFor();
      await workbench.screenshot('shown');
    });

    test('a window of a server offers the path of an export outside the workspace', async () => {
      const outside = mkdtempSync(join(tmpdir(), 'rowtune-outside-'));
      try {
        const target = join(outside, 'exported');
        await workbench.runCommandOn('Rowtune: Export', 'short');
        await workbench.pick('Merged model');
        await workbench.pick('As the base model (float32 if that is a GGUF file)');
        await workbench.saveAs(target, 'short-merged');
        const exported = workbench.notification(`was exported to ${target}`);
        await exported.waitFor({ timeout: START_MS });
        await exported.getByRole('button', { name: 'Show Folder' }).click();
        const told = workbench.notification(`outside the workspace: ${target}`);
        await told.getByRole('button', { name: 'Copy Path' }).click();
        await told.waitFor({ state: 'detached' });
      } finally {
        rmSync(outside, { recursive: true, force: true });
      }
    });

    test('the export is pushed to the hub, which takes a network', async () => {
      await workbench.runCommand('Rowtune: Push to the Hub');
      await workbench.pick('exported');
      await workbench.answer('Repository on the Hugging Face Hub', 'ada/short');
      await workbench.pick('Private');
      await workbench.notification(/switched off by HF_HUB_OFFLINE/).waitFor({ timeout: START_MS });
    });

    test('Estimate, Status and Doctor have tabs of their own', async () => {
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Estimate Memory', workbench.notification(/short: About .* free/));
      await workbench.pressNotification(/short: About .* free/, 'Show Details');
      await workbench.tab('Memory of short').waitFor();
      await workbench.webview('h1:text-is("Memory of short")');
      await workbench.screenshot('memory');
      await workbench.runCommandUntil('Rowtune: Show Status', workbench.tab('Rowtune Status'));
      await workbench.webview('h1:text-is("Rowtune Status")');
      await workbench.screenshot('status');
      await workbench.runCommandUntil('Rowtune: Doctor', workbench.tab('Rowtune Doctor'));
      await workbench.webview('h1:text-is("Rowtune Doctor")');
      await workbench.screenshot('doctor');
      for (const name of ['Memory of short', 'Rowtune Status', 'Rowtune Doctor']) expect(await workbench.tab(name).count(), name).toBe(1);
    });

    test('a run that is deleted closes its tab', async () => {
      await workbench.runCommandOn('Rowtune: Open Run', 'tuned');
      await workbench.tab('Run: tuned').waitFor();
      await workbench.runCommandOn('Rowtune: Delete Run', 'tuned');
      await workbench.dialogButton('Delete');
      await workbench.tab('Run: tuned').waitFor({ state: 'detached' });
      await until(() => !existsSync(inFolder('runs', 'tuned')), 'the folder is gone');
      await workbench.screenshot('deleted');
    });
  },
);
