/** Tests a machine without an installed engine: this is reported, an installation is offered, and nothing else is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { installations } from '../../../trainer/catalog/installations.ts';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { START_MS, shownState } from './long-run.ts';
import { describeEditor } from './session.ts';

const RECIPE = 'model: model\nr: 8\ndata: { train: train.jsonl, prompt: "{text}:" }\nmax_length: 48\nmax_steps: 2\n';
const cacheDir = mkdtempSync(join(tmpdir(), 'rowtune-no-engine-'));
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

describeEditor(
  'the first use',
  ({ folder }) => writeFileSync(join(folder, 'short.rowtune.yaml'), RECIPE),
  session => {
    let workbench: Workbench;

    test('a view shows nothing untrue while its items are loading', async () => {
      workbench = await session().open('first-use');
      const welcomes = await workbench.recordWelcomes();
      await workbench.runCommandUntil(
        'Rowtune: Focus on Models View',
        workbench.page.getByRole('treeitem', { name: /^model\b.*parameters/ }),
      );
      expect((await welcomes()).filter(text => /No models|not running/.test(text))).toEqual([]);
    });

    test('the missing engine is reported, and installed in sight until that is canceled', async () => {
      const missing = workbench.page.getByRole('treeitem', { name: /TensorFlow is not installed/ });
      await workbench.runCommandUntil('Rowtune: Focus on Devices View', missing);
      await workbench.runCommand('Rowtune: Install Engine');
      // Nothing is downloaded before its size was shown.
      await workbench.page.locator('.quick-input-list .label-description', { hasText: installations.tensorflow.download }).waitFor();
      await workbench.screenshot('sizes');
      await workbench.pick('TensorFlow');
      await workbench.page
        .locator('.output-view .view-line', { hasText: /downloading|unpacking/ })
        .first()
        .waitFor();
      await workbench.screenshot('install');
      await workbench.pressNotification('Installing TensorFlow', 'Cancel');
      await workbench.notification('Installing TensorFlow').waitFor({ state: 'detached' });
    });

    test('a training runs without it, and says so', async () => {
      await workbench.runCommandOn('Rowtune: Start Training', 'short');
      await workbench.screenshot('offer');
      await workbench.pressNotification('TensorFlow is not installed', 'Use the Portable Engine');
      await until(async () => (await shownState(workbench)) === 'finished', 'the run is finished', START_MS);
      expect(readFileSync(join(session().task.folder, 'runs', 'short', 'log.txt'), 'utf8')).toContain('the portable engine runs');
    });
  },
  { cacheDir },
);
