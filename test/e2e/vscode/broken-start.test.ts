/** Tests a daemon that cannot start: each view says why, and has buttons for what to do until it can. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, test } from 'vitest';
import type { Workbench } from './driver.ts';
import { describeEditor } from './session.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-no-node-'));
const node = join(folder, 'node');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeEditor(
  'a daemon that cannot start',
  ({ folder: workspace }) => {
    // A setting of the machine is not read from the user's settings, but a trusted workspace may override it.
    mkdirSync(join(workspace, '.vscode'));
    writeFileSync(join(workspace, '.vscode', 'settings.json'), JSON.stringify({ 'rowtune.node': node }));
  },
  session => {
    let workbench: Workbench;
    const step = (name: string) => workbench.page.getByRole('treeitem', { name });

    test('the view of runs says why, and leads to the setting', async () => {
      workbench = await session().open('broken-start');
      await workbench.runCommandUntil('Rowtune: Focus on Runs View', step('Open Setting').first());
      await workbench.page
        .getByText(/the setting rowtune\.node/i)
        .first()
        .waitFor();
      await workbench.screenshot('views');
      await step('Open Setting').first().click();
      // In a window on a server, as here, the user's own settings do not list it.
      await workbench.page.locator('.settings-editor').getByText('Absolute path of Node.js').waitFor();
      await workbench.screenshot('setting');
      await workbench.press('Escape');
    });

    test('it starts once the cause is gone', async () => {
      symlinkSync(process.execPath, node);
      await workbench.pressUntilGone(step('Start Daemon'));
      await workbench.page.getByText('No runs yet').waitFor();
      await workbench.screenshot('started');
    });
  },
);
