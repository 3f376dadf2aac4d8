/** A folder that is not trusted: its recipe is checked, and nothing is run for it until it is. */
import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
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

    test('the lens that trains asks for trust and starts nothing', async () => {
      const workbench = await session().open('trust');
      await workbench.openFile('mine.rowtune.yaml');
      await workbench.pressLens('Train', workbench.notification(/not trusted/));
      expect(trainers()).toEqual([]);
    });

    test('once it is trusted the trainer comes by itself with its views', async () => {
      const workbench = await session().open('trusted');
      await workbench.openFile('mine.rowtune.yaml');
      await workbench.runCommand('Workspaces: Manage Workspace Trust');
      await workbench.page.getByRole('button', { name: 'Trust', exact: true }).click();
      await workbench.runCommand('Rowtune: Focus on Models View');
      await workbench.page.getByRole('treeitem', { name: /^model/ }).waitFor();
      await until(() => trainers().length === 1, 'the daemon');
    });
  },
  { settings: { 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' } },
);
