/**
 * Tests every command that the other editor tests do not run: each from the palette, as a user runs it, and offered only where it makes
 * sense.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GOLDEN } from '../../support/files/read-json.ts';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, shownState, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

const SHORT = 'model: model\nr: 8\ndata: { train: train.jsonl, eval: heldout.jsonl, prompt: "{text}:" }\nmax_length: 48\nmax_steps: 8\n';

const AXOLOTL = 'base_model: model\nadapter: lora\nlora_r: 8\nmicro_batch_size: 2\nwandb_project: mails\n';

describeEditor(
  'commands',
  ({ folder }) => {
    writeFileSync(join(folder, 'short.rowtune.yaml'), SHORT);
    writeFileSync(join(folder, 'lora-8b.yml'), AXOLOTL);
    writeLongRecipe(folder);
  },
  session => {
    let workbench: Workbench;
    const inFolder = (...names: string[]): string => join(session().task.folder, ...names);

    test('New Recipe asks four questions, and writes what trains', async () => {
      workbench = await session().open('commands');
      const rows = workbench.page.locator('.quick-input-list .monaco-list-row');
      await workbench.runCommandOn('Rowtune: New Recipe', 'model');
      await rows.filter({ hasText: /train\.jsonl.* kB · texts with a label.*lunch at 0 → ham/ }).waitFor();
      await workbench.screenshot('new-recipe-data');
      await workbench.pick('train.jsonl');
      await rows.filter({ hasText: /heldout\.jsonl.*next to the training data/ }).waitFor();
      await workbench.screenshot('new-recipe-held-out');
      await workbench.pick('heldout.jsonl');
      await rows.filter({ hasText: /Language model.*fits this model/ }).waitFor();
      await workbench.screenshot('new-recipe-task');
      const tasks = await rows.locator('.label-name').allTextContents();
      expect(tasks).toEqual(expect.arrayContaining(['Distillation', 'Reward model']));
      // A language model has no classification head and takes no images.
      for (const task of ['Text classification', 'Image classification']) expect(tasks).not.toContain(task);
      await workbench.pick('Language model');
      await workbench.pick('Sparse fine-tuning (SPSFT)');
      await workbench.tab(/\.rowtune\.yaml/).waitFor();
      await workbench.screenshot('new-recipe');
      const text = readFileSync(inFolder('model-spsft.rowtune.yaml'), 'utf8');
      expect(text).toMatch(/^model: model$/m);
      expect(text).toMatch(/^ {2}train: \[train\.jsonl\]$/m);
      expect(text).toMatch(/^ {2}eval: \[heldout\.jsonl\]$/m);
    });

    test('New Recipe refuses data that the model does not read, and writes nothing', async () => {
      cpSync(join(GOLDEN, 'convnext'), inFolder('pictures'), { recursive: true });
      await workbench.runCommandOn('Rowtune: New Recipe', 'pictures');
      await workbench.pick('train.jsonl');
      await workbench.pick('A tenth of the training data');
      await workbench.pick('Image classification');
      await workbench.pick('Sparse fine-tuning (SPSFT)');
      await workbench.notification(/data cannot be read: .*Choose other data or another model\./).waitFor();
      expect(existsSync(inFolder('pictures-spsft.rowtune.yaml'))).toBe(false);
      rmSync(inFolder('pictures'), { recursive: true });
    });

    test('Stop, Resume, Compare and other commands on runs are hidden until there is a run', async () => {
      let offered: ReadonlySet<string> = new Set();
      const whatRuns = ['Stop Daemon', 'Stop Language Server'];
      await until(async () => {
        offered = await workbench.offered('Rowtune');
        return whatRuns.every(title => offered.has(title));
      }, 'daemon and language server run');
      const notYet = ['Stop and Save', 'Abort', 'Resume', 'Compare Runs', 'Export', 'Try the Model', 'Open Run', 'Delete Run'];
      const needless = ['Start Daemon', 'Start Language Server'];
      expect([...notYet, ...needless].filter(title => offered.has(title))).toEqual([]);
      const useful = ['Start Training', 'Compute Importance', 'Doctor', 'Show Status'];
      expect(useful.filter(title => !offered.has(title))).toEqual([]);
    });

    test('Convert Recipe is offered by a lens, a lightbulb and a command on a recipe of another tool', async () => {
      const converted = workbench.tab('lora-8b.rowtune.yaml');
      await workbench.openFile('lora-8b.yml');
      const lens = 'Convert this recipe of Axolotl';
      await workbench.page.locator('.codelens-decoration a', { hasText: lens }).waitFor();
      await workbench.runCommandUntil('Quick Fix...', workbench.page.locator('.action-widget .monaco-list-row', { hasText: lens }));
      await workbench.screenshot('convert');
      await workbench.press('Escape');
      await workbench.pressLens(lens, converted);
      await workbench.notification('lora-8b.yml was converted from Axolotl. 1 key of Axolotl has no counterpart: wandb_project').waitFor();
      expect(readFileSync(inFolder('lora-8b.rowtune.yaml'), 'utf8')).toMatch(/^model: model$/m);
      expect(readFileSync(inFolder('lora-8b.yml'), 'utf8')).toBe(AXOLOTL);
      await workbench.openFile('lora-8b.yml');
      await workbench.runCommandUntil('Rowtune: Convert Recipe', workbench.tab('lora-8b-2.rowtune.yaml'));
    });

    test('Estimate Memory uses the card of the settings', async () => {
      mkdirSync(inFolder('.vscode'), { recursive: true });
      writeFileSync(inFolder('.vscode', 'settings.json'), JSON.stringify({ 'rowtune.card': 'rtx-4090' }));
      await workbench.openFile('short.rowtune.yaml');
      const answer = /short: About .* on RTX 4090, .*GPU: unmeasured/;
      // The setting may not have been read yet.
      await until(
        async () => {
          await workbench.runCommand('Rowtune: Estimate Memory');
          return workbench
            .notification(answer)
            .waitFor({ timeout: 30_000 })
            .then(
              () => true,
              () => false,
            );
        },
        'the answer is about the card',
        START_MS,
      );
      await workbench.pressNotification(answer, 'Show Details');
      await workbench.webview('h2:text-is("Settings that fit")');
      await workbench.screenshot('memory-on-card');
      await workbench.closeTab('Memory of short');
      rmSync(inFolder('.vscode'), { recursive: true });
    });

    test('the view of models follows the files, and says what is wrong with one', async () => {
      const item = (text: RegExp) => workbench.page.getByRole('treeitem', { name: text });
      await workbench.runCommandUntil('Rowtune: Focus on Models View', item(/^model.*parameters/));
      // A new window may not be watching its folder yet, so write files until one is noticed.
      const writtenUntil = (text: RegExp, write: () => void) =>
        until(
          async () => {
            write();
            return item(text)
              .waitFor({ timeout: 15_000 })
              .then(
                () => true,
                () => false,
              );
          },
          `the view has ${text}`,
          START_MS,
        );
      await writtenUntil(/^copied.*parameters/, () => cpSync(inFolder('model'), inFolder('copied'), { recursive: true }));
      await writtenUntil(/^copied.*cannot be read/, () => writeFileSync(inFolder('copied', 'model.safetensors'), 'no weights'));
      await workbench.screenshot('models');
      rmSync(inFolder('copied'), { recursive: true });
      await item(/^copied.*cannot be read/).waitFor({ state: 'detached' });
      await workbench.runCommandUntil('View: Show Explorer', workbench.page.locator('.explorer-folders-view'));
    });

    test('Open Settings and Get Started open the settings and the walkthrough of Rowtune', async () => {
      // The settings open in a tab in older editors and in a dialog in newer ones.
      const settings = workbench.page.locator('.settings-editor:visible');
      await workbench.runCommandUntil('Rowtune: Open Settings', settings);
      await settings.locator('.setting-item-category', { hasText: 'Rowtune' }).first().waitFor();
      await workbench.screenshot('settings');
      await workbench.press('Escape');
      await workbench.runCommandUntil('View: Close Editor', async () => (await settings.count()) === 0);
      await workbench.runCommandUntil('Rowtune: Get Started', workbench.page.getByText('Get started with Rowtune').first());
      await workbench.screenshot('walkthrough');
    });

    test('of the recipe in the editor, and of its run: Train This Recipe, Open Last Run, Open Log of Run', async () => {
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Train This Recipe', workbench.tab('Run: short'));
      await until(async () => (await shownState(workbench)) === 'finished', 'it is finished', START_MS);
      expect(existsSync(inFolder('runs', 'short', 'summary.json'))).toBe(true);
      await workbench.closeTab('Run: short');
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Open Last Run', workbench.tab('Run: short'));
      await workbench.runCommandOn('Rowtune: Open Log of Run', 'short');
      await workbench.tab('log.txt').waitFor();
    });

    test('Rename Run, Tag Run, Write Note on Run, Pin or Unpin Run and Archive or Restore Run write its notes', async () => {
      const notes = (): Record<string, unknown> => {
        const file = inFolder('runs', 'short', 'notes.json');
        return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
      };
      const answers = [
        ['Rename Run', 'Name of short', 'The best'],
        ['Tag Run', 'Tags of short', 'mails, v2'],
        ['Write Note on Run', 'Note on short', 'Ship it.'],
      ] as const;
      for (const [title, question, text] of answers) {
        await workbench.runCommandOn(`Rowtune: ${title}`, 'short');
        await workbench.answer(question, text);
      }
      await workbench.runCommandOn('Rowtune: Pin or Unpin Run', 'short');
      await until(() => notes().pinned === true, 'it is pinned');
      expect(notes()).toEqual({ name: 'The best', tags: ['mails', 'v2'], note: 'Ship it.', pinned: true });
      for (const archived of [true, undefined]) {
        await workbench.runCommandOn('Rowtune: Archive or Restore Run', 'short');
        await until(() => notes().archived === archived, 'it is archived, or restored');
      }
      await workbench.runCommandOn('Rowtune: Rename Run', 'short');
      await workbench.answer('Name of short', '');
      await until(() => notes().name === undefined, 'it has its own name again');
    });

    test('Preview Data shows the samples of the recipe in the editor', async () => {
      await workbench.openFile('short.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Preview Data', workbench.tab('Data: short'));
      const page = await workbench.webview('article');
      await page.locator('article .run.trained').first().waitFor({ timeout: START_MS });
      await page
        .getByText(/^Samples 1 to \d+/)
        .first()
        .waitFor();
      await workbench.screenshot('data');
      await workbench.closeTab('Data: short');
    });

    test('Abort asks first, and ends a training without saving', async () => {
      await workbench.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await shownState(workbench)) === 'training', 'it trains', START_MS);
      await workbench.runCommandUntil('Rowtune: Abort', workbench.page.locator('.monaco-dialog-box'));
      await workbench.dialogButton('Abort');
      await until(() => readRun(session().task.folder).state !== 'running', 'it is ended', START_MS);
    });

    test('Set Hub Token stores it', async () => {
      await workbench.runCommand('Rowtune: Set Hub Token');
      await workbench.answer('Hugging Face access token', 'hf_of_a_test');
      await workbench.notification('The token was stored').waitFor();
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
      await workbench.runCommandUntil('Rowtune: Show Daemon Log', workbench.tab('daemon.log'));
      await workbench.runCommandUntil('Rowtune: Show Language Server Log', workbench.page.locator('.part.panel .composite.panel'));
      await workbench.screenshot('logs');
    });
  },
);
