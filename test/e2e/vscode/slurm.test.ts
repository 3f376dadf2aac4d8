/**
 * Tests Train on Slurm from the editor: confirmed with its profile, shown in the Runs view with its position in the queue, and stopped
 * there. The cluster is a fake.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type FakeSlurm, fakeSlurm } from '../../support/machine/fake-slurm.ts';
import { until } from '../../support/machine/until.ts';
import { writeLongRecipe } from './long-run.ts';
import { describeEditor } from './session.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-editor-slurm-'));
let slurm: FakeSlurm | undefined;
afterAll(() => {
  delete process.env.VSCODE_CLI;
  slurm?.remove();
  rmSync(folder, { recursive: true, force: true });
});

describeEditor(
  'Slurm',
  task => {
    slurm = fakeSlurm(folder);
    // Makes the editor use the PATH of this process instead of a new login shell's.
    process.env.VSCODE_CLI = '1';
    writeLongRecipe(task.folder);
    writeFileSync(join(task.folder, 'slurm.yaml'), 'partition: gpu\ntasks_per_node: 2\n');
  },
  session => {
    test('Train on Slurm shows what it asks for, and submits after a confirmation', async () => {
      const workbench = await session().open('slurm');
      await workbench.openFile('mine.rowtune.yaml');
      const dialog = workbench.page.locator('.monaco-dialog-box');
      await workbench.runCommandUntil('Rowtune: Train on Slurm', dialog);
      await dialog.getByText('Submit mine to Slurm?').waitFor();
      await dialog.getByText('partition gpu, 1 node with 2 processes').waitFor();
      await workbench.screenshot('slurm-confirmation');
      expect(slurm?.scripts()).toEqual([]);
      await workbench.dialogButton('Submit');
      await workbench.notification('mine is job 101 of Slurm (2 processes)').waitFor();
      await workbench.tab('Run: mine').waitFor();
      expect(slurm?.scripts()).toHaveLength(1);
      const page = await workbench.webview('h1');
      await page.getByText('pending (Resources), next in its partition').first().waitFor();
      await workbench.screenshot('slurm-waits');
      await page.getByRole('button', { name: 'Abort', exact: true }).click();
      await page.getByRole('button', { name: 'Abort without Saving' }).click();
      await until(() => existsSync(join(session().task.folder, 'runs', 'mine.slurm', 'stop')), 'the job has left the queue');
    });
  },
);
