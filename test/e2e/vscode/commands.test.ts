/** Every command that the other tests in an editor do not run: each from the palette, as a user does it, and offered only where it makes sense. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, shownState, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

const SHORT = 'model: model\nr: 8\ndata: { train: train.jsonl, eval: heldout.jsonl, prompt: "{text}:" }\nmax_length: 48\nmax_steps: 8\n';

describeEditor(
  'commands',
  ({ folder }) => {
    writeFileSync(join(folder, 'short.rowtune.yaml'), SHORT);
    writeLongRecipe(folder);
  },
  session => {
    let workbench: Workbench;
    const inFolder = (...names: string[]): string => join(session().task.folder, ...names);
    const tab = (text: string | RegExp) => workbench.page.locator('.tabs-container .tab', { hasText: text });

    test('New Recipe asks four questions, and writes what trains', async () => {
      workbench = await session().open('commands');
      await workbench.runCommandOn('Rowtune: New Recipe', 'model');
      await workbench.pick('train.jsonl');
      await workbench.pick('causal_lm');
      await workbench.pick('spsft');
      await tab(/\.rowtune\.yaml/).waitFor();
      await workbench.screenshot('new-recipe');
      const text = readFileSync(inFolder('model-spsft.rowtune.yaml'), 'utf8');
      expect(text).toMatch(/^model: model$/m);
      expect(text).toMatch(/^ {2}train: \[train\.jsonl\]$/m);
    });

    test('nothing is offered to be stopped, resumed or compared before there is a run', async () => {
      const offered = await workbench.offered('Rowtune');
      const notYet = ['Stop and Save', 'Abort', 'Resume', 'Compare Runs', 'Export', 'Try the Model', 'Open Run', 'Delete Run'];
      const needless = ['Start Daemon', 'Start Language Server'];
      expect([...notYet, ...needless].filter(title => offered.has(title))).toEqual([]);
      const useful = ['Start Training', 'Compute Importance', 'Doctor', 'Stop Daemon', 'Stop Language Server', 'Show Status'];
      expect(useful.filter(title => !offered.has(title))).toEqual([]);
    });

    test('of the recipe in the editor: Estimate Memory, Train This Recipe, Open Last Run, Compute Importance', async () => {
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommand('Rowtune: Estimate Memory');
      await workbench.pressNotification(/short: About .* free/, 'Show Details');
      await tab('Memory of short').waitFor();
      for (const name of ['short', 'short-2']) {
        await workbench.openFile('short.rowtune.yaml');
        await workbench.runCommand('Rowtune: Train This Recipe');
        await until(async () => (await shownState(workbench)) === 'finished', `${name} is finished`, START_MS);
        expect(existsSync(inFolder('runs', name, 'summary.json'))).toBe(true);
        await workbench.closeTab(`Run: ${name}`);
        await until(async () => {
          const offered = await workbench.offered('Rowtune');
          return offered.has('Export') && offered.has('Compare Runs') === (name === 'short-2');
        }, 'two runs can be compared, and one cannot');
      }
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommand('Rowtune: Open Last Run');
      await tab('Run: short-2').waitFor();
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommand('Rowtune: Compute Importance');
      await tab('Heatmap: short').waitFor();
      await until(() => existsSync(inFolder('short.scores.safetensors')), 'the scores', START_MS);
    });

    test('of runs: Evaluate, Compare Runs, Open Log of Run, Delete Run', async () => {
      await workbench.runCommandOn('Rowtune: Evaluate', 'short-2');
      await workbench
        .notification(/short-2: .*loss [\d.]+.*samples/)
        .first()
        .waitFor({ timeout: START_MS });
      await workbench.runCommandOnEach('Rowtune: Compare Runs', ['short', 'short-2']);
      await tab('Compare: ').waitFor();
      await workbench.runCommandOn('Rowtune: Open Log of Run', 'short-2');
      await tab('log.txt').waitFor();
      await workbench.runCommandOn('Rowtune: Delete Run', 'short-2');
      await workbench.dialogButton('Delete');
      await until(() => !existsSync(inFolder('runs', 'short-2')), 'the run is gone');
    });

    test('Abort asks first, and ends a training without saving', async () => {
      await workbench.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await shownState(workbench)) === 'training', 'it trains', START_MS);
      await workbench.runCommand('Rowtune: Abort');
      await workbench.dialogButton('Abort');
      await until(() => readRun(session().task.folder).state !== 'running', 'it is ended', START_MS);
    });

    test('of the machine: Doctor, Show Status, Set Hub Token', async () => {
      await workbench.runCommand('Rowtune: Doctor');
      await tab('Rowtune Doctor').waitFor({ timeout: START_MS });
      await workbench.runCommand('Rowtune: Show Status');
      await tab('Rowtune Status').waitFor();
      await workbench.webview('h1:text-is("Rowtune Status")');
      await workbench.screenshot('status');
      await workbench.runCommand('Rowtune: Set Hub Token');
      await workbench.answer('Token of the Hugging Face hub', 'hf_of_a_test');
      await workbench.notification('The token was stored').first().waitFor();
    });

    test('the daemon and the language server are stopped, started, restarted, and their logs shown', async () => {
      const pidOf = (name: string) =>
        session()
          .editor.processes()
          .find(({ command }) => command.includes(name))?.pid;
      for (const [title, name] of [
        ['Daemon', 'daemon run'],
        ['Language Server', 'dist/server.js'],
      ] as const) {
        const first = pidOf(name);
        expect(first, name).toBeDefined();
        await workbench.runCommandUntil(`Rowtune: Restart ${title}`, () => ![undefined, first].includes(pidOf(name)));
        await workbench.runCommandUntil(`Rowtune: Stop ${title}`, () => pidOf(name) === undefined);
        await workbench.runCommandUntil(`Rowtune: Start ${title}`, () => pidOf(name) !== undefined);
      }
      await workbench.runCommand('Rowtune: Show Daemon Log');
      await tab('daemon.log').waitFor();
      await workbench.runCommand('Rowtune: Show Language Server Log');
      await workbench.page.locator('.panel .output-view-container, .part.panel .composite.panel').first().waitFor();
      await workbench.screenshot('logs');
    });
  },
);
