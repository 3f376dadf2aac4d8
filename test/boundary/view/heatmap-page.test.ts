/** Tests the heatmap in a real browser with a real score file and its real host, by mouse and keyboard. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { connectHeatmap } from '../../../client/pages/heatmap-host.ts';
import { saveScores } from '../../../trainer/importance/scores-file.ts';
import type { ModuleSpec } from '../../../trainer/model/module-specs.ts';
import type { HeatmapFromPage, HeatmapToPage } from '../../../trainer/protocol/view/heatmap.ts';
import { createRandom } from '../../../trainer/random.ts';
import { until } from '../../support/machine/until.ts';
import { type BrowserPage, findChromium, openWithHost } from '../../support/pages/browser-page.ts';
import { type TestServices, testServices } from '../../support/pages/page-host.ts';

const executablePath = findChromium();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-heatmap-page-'));
const [one, two] = [join(folder, 'one.scores.safetensors'), join(folder, 'two.scores.safetensors')];
const LAYERS = 12;
const KINDS = ['self_attn.q_proj', 'self_attn.k_proj', 'mlp.up_proj', 'mlp.down_proj'];
let browser: Browser;
const ends: (() => Promise<void> | void)[] = [];

const modules = Array.from({ length: LAYERS }, (_, layer) =>
  KINDS.map((kind): ModuleSpec => {
    const name = `model.layers.${layer}.${kind}`;
    return { name, kind: 'linear', part: 'mlp', layer, weight: { name: `${name}.weight`, shape: [kind.includes('mlp') ? 64 : 16, 16] } };
  }),
).flat();

beforeAll(async () => {
  if (executablePath === undefined) return;
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  for (const [seed, file] of [one, two].entries()) {
    const random = createRandom(seed);
    const scores = new Map(
      modules.map(({ name, weight }) => [name, Float32Array.from({ length: weight.shape[0] as number }, () => random.uniform())]),
    );
    await saveScores(file, { scores }, { measure: 'taylor', base: 'b', seed, samples: 4, exact: false }, modules);
  }
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(): Promise<BrowserPage<HeatmapFromPage> & { readonly services: TestServices }> {
  const services = testServices();
  const sources = [one, two].map((path, i) => ({ path, label: i === 0 ? 'one' : 'two' }));
  const opened = await openWithHost<HeatmapFromPage, HeatmapToPage>(browser, 'heatmap', {
    connect: connectHeatmap,
    state: { kind: 'heatmap', sources },
    services,
  });
  ends.push(async () => {
    await opened.page.close();
    expect(opened.errors).toEqual([]);
  });
  await opened.page.getByText(/of 1,920 rows/).waitFor();
  return { ...opened, services };
}

if (process.env.CI && executablePath === undefined) test('no Chromium on this machine', () => expect.fail('CI tries the pages in one'));

describe.skipIf(executablePath === undefined)(
  `the heatmap in a browser${executablePath ? '' : ' (skipped: no Chromium on this machine)'}`,
  () => {
    test('a cell is found, opened and closed by keys, and each step is announced', async () => {
      const { page } = await open();
      await page.getByRole('grid').focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight');
      const cell = page.getByRole('gridcell');
      await expect.poll(() => cell.textContent()).toMatch(/^layer 1 · k: shape 16 × 16, mean 0\.\d+/);
      await page.keyboard.press('Control+End');
      await expect.poll(() => cell.textContent()).toMatch(/^layer 11 · down: /);
      await page.keyboard.press('Control+Home');
      await expect.poll(() => cell.textContent()).toMatch(/^layer 0 · q: /);
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'layer 1 · k' }).waitFor();
      await expect.poll(() => page.getByRole('slider', { name: /^16 neurons by position/ }).count()).toBe(1);
      await expect.poll(() => page.getByRole('status').first().textContent()).toMatch(/^Opened layer 1 · k/);
      await page.keyboard.press('Escape');
      await expect.poll(() => page.getByRole('heading', { name: 'layer 1 · k' }).isVisible()).toBe(false);
      await expect.poll(() => page.evaluate('document.activeElement.getAttribute("role")')).toBe('grid');
    });

    test('the name of every button contains the words on it, which voice control says', async () => {
      const { page } = await open();
      await page.getByRole('grid').press('Enter');
      await page.getByRole('region', { name: 'Cell' }).waitFor();
      const buttons = await page.getByRole('button').all();
      expect(buttons.length).toBeGreaterThan(10);
      for (const button of buttons) {
        const words = /[A-Z][\w ]+/.exec((await button.textContent()) ?? '')?.[0];
        if (words !== undefined) expect((await button.getAttribute('aria-label')) ?? words).toMatch(new RegExp(words, 'i'));
      }
    });

    test('the budget changes selection and parameters at once', async () => {
      const { page } = await open();
      const number = page.getByRole('textbox', { name: 'Budget, as a number' });
      await number.fill('4');
      await number.press('Enter');
      await page.getByText('192 of 1,920 rows (10.0%) · 3,072 parameters (10.00% of these modules)').waitFor();
      await page.getByText('across layers').click();
      await page.getByText(/^192 of 1,920 rows/).waitFor();
      await page.getByText('share', { exact: true }).click();
      // This must work even if no frame is drawn in between.
      await number.fill('50');
      await number.press('Enter');
      await page.getByText(/^960 of 1,920 rows \(50\.0%\)/).waitFor();
    });

    test('two files are compared, and the choices survive a reload', async () => {
      const { page, reload } = await open();
      await page.getByLabel('Compare with').selectOption({ label: 'two · Taylor' });
      await page.getByText(/Jaccard index of the selections: 0\.\d+ \(\d+ rows in both\)/).waitFor();
      await page.getByText('overlap', { exact: true }).click();
      await page.getByText('Jaccard index of the selected rows of A and B').waitFor();
      await page.getByRole('grid').click({ position: { x: 300, y: 200 } });
      await page.getByText(/A is above, B below/).waitFor();
      // The columns of B fit in a narrow panel.
      await page.setViewportSize({ width: 380, height: 900 });
      await expect.poll(() => page.locator('.top-list').evaluate(list => list.scrollWidth - list.clientWidth)).toBe(0);
      await page.setViewportSize({ width: 1280, height: 900 });
      await reload();
      await page.getByText('Jaccard index of the selected rows of A and B').waitFor();
      await page.getByText(/A is above, B below/).waitFor();
    });

    test('a compared source is removed by keyboard, and the last source cannot be removed', async () => {
      const { page } = await open();
      await page.getByLabel('Compare with').selectOption({ label: 'two · Taylor' });
      await page.getByLabel('Remove two from the heatmap').press('Enter');
      await page.getByLabel('Remove two from the heatmap').waitFor({ state: 'hidden' });
      expect(
        await page.getByRole('combobox', { name: 'Scores', exact: true }).evaluate(list => list === list.ownerDocument.activeElement),
      ).toBe(true);
      expect(
        await page
          .getByLabel(/^Remove .* from the heatmap$/)
          .filter({ visible: true })
          .count(),
      ).toBe(0);
    });

    test('the table has a button for each module that opens its cell', async () => {
      const { page } = await open();
      await page.getByRole('button', { name: 'Show the values as a table' }).click();
      const table = page.getByRole('table', { name: /mean score of the rows/ });
      await table.waitFor();
      await expect.poll(() => table.getByRole('button').count()).toBe(LAYERS * KINDS.length);
      await table.getByRole('button', { name: /^layer 11 · down: / }).press('Enter');
      await page.getByRole('heading', { name: 'layer 11 · down' }).waitFor();
    });

    test('pictures and tables are saved through the editor', async () => {
      const { page, services } = await open();
      for (const format of ['SVG', 'CSV']) await page.getByRole('button', { name: `Export as ${format}` }).click();
      const fileForm = z.object({ suggestedName: z.string(), content: z.string() });
      const saved = () => services.calls.flatMap(([name, file]) => (name === 'saveFile' ? [fileForm.parse(file)] : []));
      await until(() => saved().length === 2, 'both files');
      expect(saved().map(({ suggestedName }) => suggestedName)).toEqual(['one-Taylor.svg', 'one-Taylor.csv']);
      expect(saved()[0]?.content).toMatch(/^<svg /);
      expect(saved()[1]?.content.split('\r\n')).toHaveLength(modules.length + 2);
    });
  },
);
