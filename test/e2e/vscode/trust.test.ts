/** Tests an untrusted folder: its recipe is checked, and nothing is run for it until it is trusted. */
import { expect, test } from 'vitest';
import { until } from '../../support/machine/until.ts';
import { writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

describeEditor(
  'a folder that is not trusted',
  ({ folder }) => writeLongRecipe(folder),
  session => {
    const trainers = () =>
      session()
        .editor.processes()
        .filter(({ command }) => command.includes('daemon run'));

    test('the Train lens asks for trust and starts nothing', async () => {
      const workbench = await session().open('trust');
      await workbench.openFile('mine.rowtune.yaml');
      await workbench.pressLens('Train', workbench.notification(/trusted workspace/));
      expect(trainers()).toEqual([]);
    });

    test('after trust is given, the daemon starts, and the first view explains how to begin', async () => {
      const workbench = await session().open('trusted');
      await workbench.openFile('mine.rowtune.yaml');
      // Record every text of the view, including those that are soon replaced.
      await workbench.page.evaluate(`globalThis.said = new Set();
        setInterval(() => document.querySelectorAll('.pane').forEach(pane => said.add(pane.innerText)), 20);`);
      const trust = workbench.page.getByRole('button', { name: 'Trust', exact: true });
      await workbench.runCommandUntil('Workspaces: Manage Workspace Trust', trust);
      await trust.click();
      await workbench.runCommandUntil('Rowtune: Focus on Models View', workbench.page.getByRole('treeitem', { name: /^model.*llama/ }));
      await until(() => trainers().length === 1, 'the daemon');
      await workbench.page.locator('.pane', { hasText: 'No runs yet' }).getByRole('button', { name: 'New Recipe' }).waitFor();
      await workbench.press('Escape');
      await workbench.screenshot('welcome');
      const said = String(await workbench.page.evaluate(`[...said].join('\\n')`));
      expect(said).toContain('No runs yet');
      expect(said).not.toMatch(/No daemon runs|daemon-missing/i);
    });
  },
  { settings: { 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' } },
);
