/** Tests a daemon on another machine, connected by address and token: the editor shows the runs, models and devices of that machine. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { startTestDaemon, until, urlOf } from '../../support/daemon/daemon.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';
import type { Workbench } from './driver.ts';
import { readRun, START_MS, shownState, stepsDone, writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

const TOKEN = 'a-token-that-both-machines-keep-to-themselves';
const CONNECT = 'Rowtune: Connect to a Daemon on Another Machine';
/** The daemon's models, data and runs, none of which exist on the editor's machine. */
const far = makeTinyTask();
afterAll(() => rmSync(far.folder, { recursive: true, force: true }));

describeEditor(
  'a daemon on another machine',
  ({ folder }) => {
    writeLongRecipe(folder);
    for (const name of ['model', 'train.jsonl', 'heldout.jsonl']) rmSync(join(folder, name), { recursive: true });
    mkdirSync(join(folder, '.vscode'));
    writeFileSync(join(folder, '.vscode', 'settings.json'), JSON.stringify({ 'rowtune.daemon.folder': far.folder }));
  },
  session => {
    let workbench: Workbench;
    let daemon: Daemon;

    test('a wrong token is reported, and the right one is asked for by the notification', async () => {
      daemon = await startTestDaemon({ token: TOKEN });
      workbench = await session().open('remote');
      await workbench.runCommand(CONNECT);
      await workbench.answer('Address of a daemon', urlOf(daemon));
      await workbench.answer('Token of the daemon', 'f'.repeat(64));
      const refusal = workbench.notification(/refuses the connection/);
      await refusal.first().waitFor();
      await workbench.screenshot('refused');
      await refusal.first().getByRole('button', { name: 'Enter Token' }).click();
      await workbench.answer('Token of the daemon', TOKEN);
      await workbench.runCommandUntil('Rowtune: Focus on Models View', workbench.page.getByRole('treeitem', { name: /^model.*llama/ }));
      await workbench.runCommandUntil('Rowtune: Focus on Devices View', workbench.page.getByRole('treeitem', { name: /of memory free/ }));
    });

    test('a file missing here is no error while the daemon is on another machine', async () => {
      await workbench.runCommandUntil('View: Show Explorer', workbench.page.locator('.explorer-folders-view'));
      await workbench.openFile('mine.rowtune.yaml');
      await workbench.press('Control+Home');
      await expect.poll(() => workbench.squiggles('info').count()).toBeGreaterThan(0);
      await expect.poll(() => workbench.squiggles('error').count()).toBe(0);
      expect((await workbench.problems())[0]).toContain(far.folder);
      await workbench.screenshot('recipe');
    });

    test('a training runs there, and its page shows it', async () => {
      await workbench.runCommandOn('Rowtune: Start Training', 'mine');
      await until(async () => (await stepsDone(workbench)) > 0, 'the first updates', START_MS);
      expect(readRun(far.folder).state).toBe('running');
      expect(existsSync(join(session().task.folder, 'runs'))).toBe(false);
      await workbench.runCommandUntil('Rowtune: Focus on Runs View', workbench.page.getByRole('treeitem', { name: /^mine, / }));
      await workbench.screenshot('run');
    });

    test('a reloaded window remembers the address, and asks for a token that was not stored', async () => {
      await workbench.reload();
      // In a browser without storage for secrets, the editor keeps them only as long as its window; other editors have stored the token.
      const missing = workbench.notification(/no token is stored/i);
      await workbench
        .notification(/still running/)
        .or(missing)
        .first()
        .waitFor();
      // One of the two has appeared, and stays.
      if (await missing.isVisible()) {
        await workbench.screenshot('no-token');
        await missing.getByRole('button', { name: 'Enter Token' }).click();
        await workbench.answer('Token of the daemon', TOKEN);
        await workbench.notification(/still running/).waitFor();
      }
      await workbench.runCommandOn('Rowtune: Open Run', 'mine');
      await until(async () => (await shownState(workbench)) === 'training', 'the page says so', START_MS);
    });

    test('its heatmap is drawn, it is stopped from here, and its recipe can be read', async () => {
      await workbench.runCommandOn('Rowtune: Open Heatmap', 'mine');
      const page = await workbench.webview('.grid-view canvas');
      await page
        .getByText(/of [\d,]+ rows/)
        .first()
        .waitFor();
      await workbench.screenshot('heatmap');
      await workbench.runCommandUntil('Rowtune: Stop and Save', () => readRun(far.folder).state === 'stopped');
      await workbench.runCommandOn('Rowtune: Open Recipe of Run', 'mine');
      await workbench.page.locator('.editor-instance .view-line', { hasText: 'method: spsft' }).waitFor();
      expect(readFileSync(join(far.folder, 'runs', 'mine', 'recipe.yaml'), 'utf8')).toContain('method: spsft');
    });

    test('a daemon that is gone is reported', async () => {
      await daemon.stop();
      await workbench.runCommandUntil('Rowtune: Start Daemon', workbench.notification(/no daemon answers|is gone/i));
      await workbench.screenshot('gone');
    });
  },
);
