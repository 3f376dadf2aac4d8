/**
 * Tests every page in the editor's four themes: no text has less contrast than WCAG 2 requires (4.5 to 1), and none is cut off.
 * ROWTUNE_SCREENSHOTS names a folder for a picture of each.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { connectCompare } from '../../../client/pages/compare-host.ts';
import { connectData } from '../../../client/pages/data-host.ts';
import { connectHeatmap } from '../../../client/pages/heatmap-host.ts';
import type { ConnectPage, PageKind, PageServices, PageState } from '../../../client/pages/page-services.ts';
import { connectRun } from '../../../client/pages/run-host.ts';
import { connectTry } from '../../../client/pages/try-host.ts';
import { findChromium, openWithHost } from '../../support/pages/browser-page.ts';
import { dataPageServices } from '../../support/pages/data-page-services.ts';
import { testServices } from '../../support/pages/page-host.ts';
import { editorThemes } from '../../support/pages/theme-colors.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

/** A GIF of one pixel. */
const THUMBNAIL = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';

const executablePath = findChromium();
const pictures = process.env.ROWTUNE_SCREENSHOTS;
const task = makeTinyTask();
const runDirs = ['rows', 'adapter', 'fewer'].map(name => join(task.folder, 'runs', name));
const [runDir = ''] = runDirs;
let browser: Browser;

beforeAll(async () => {
  if (executablePath === undefined) return;
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const rest = ['engine=portable', 'eval_strategy=steps', 'eval_steps=4', 'max_steps=12', 'logging_steps=1'];
  for (const [i, own] of [
    ['importance.measure=magnitude'],
    ['method=lora'],
    ['importance.measure=magnitude', 'r=4', 'learning_rate=1e-2'],
  ].entries())
    await runInProcess({ kind: 'train', recipe: task.recipe(...own, ...rest), runDir: runDirs[i] ?? '', context: task.context });
});
afterAll(async () => {
  await browser?.close();
  rmSync(task.folder, { recursive: true, force: true });
});

/** Finds visible texts with too little contrast, or cut off by their box; disabled elements may be faint. */
const FAULTS = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = ([r, g, b, a], under) => [r, g, b].map((value, i) => (value * a) / 255 + under[i] * (1 - a / 255));
  const behind = element => element ? over(rgba(getComputedStyle(element).backgroundColor), behind(element.parentElement)) : [255, 255, 255];
  const light = color => { const [r, g, b] = color.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const faults = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.data.trim();
    if (text === '' || !element.checkVisibility() || element.closest('script, option, .visually-hidden, .disabled') || element.closest('button, textarea')?.disabled) continue;
    const { color, overflowX, textOverflow } = getComputedStyle(element);
    const under = behind(element);
    const found = contrast(over(rgba(color), under), under);
    if (found < 4.5) faults.push(text.slice(0, 40) + ': contrast ' + found.toFixed(2));
    if (overflowX === 'hidden' && textOverflow !== 'ellipsis' && element.scrollWidth > element.clientWidth + 1) faults.push(text.slice(0, 40) + ': cut off');
  }
  return [...new Set(faults)];
})()`;

/** Opens a page, sets each theme, and returns the faults by theme. */
async function faultsOf<ToPage>(
  name: string,
  kind: PageKind,
  {
    connect,
    state,
    ready,
    services = testServices(),
  }: { connect: ConnectPage<ToPage>; state: PageState; ready: (page: Page) => Promise<void>; services?: PageServices },
): Promise<Record<string, string[]>> {
  const { page } = await openWithHost(browser, kind, { connect, state, services });
  await ready(page);
  const found: Record<string, string[]> = {};
  for (const [theme, { bodyClass, colors }] of Object.entries(editorThemes)) {
    const style = Object.entries(colors).map(([key, value]) => `--vscode-${key}: ${value}`);
    await page.evaluate(
      `document.documentElement.style.cssText = ${JSON.stringify(style.join(';'))}; document.body.className = document.body.className.replace(/vscode-\\S+/g, '') + ' ${bodyClass}'`,
    );
    // Two frames: the page notices the theme in the first one and draws in the second.
    await page.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))');
    if (pictures !== undefined) {
      mkdirSync(pictures, { recursive: true });
      await page.screenshot({ path: join(pictures, `${name}-${theme}.png`), fullPage: true });
    }
    found[theme] = z.array(z.string()).parse(await page.evaluate(FAULTS));
  }
  await page.close();
  return found;
}

const NONE = Object.fromEntries(Object.keys(editorThemes).map(theme => [theme, []]));

describe.skipIf(executablePath === undefined)(`themes${executablePath ? '' : ' (skipped: no Chromium on this machine)'}`, () => {
  test.each(['Log', 'Results', 'Memory', 'Coverage', 'Recipe', 'Values'])('a run, its %s', async tab => {
    const ready = async (page: Page): Promise<void> => {
      await page.getByRole('log').getByText('finished after 12 updates').waitFor();
      await page.getByRole('tab', { name: tab }).click();
    };
    expect(await faultsOf(`run-${tab.toLowerCase()}`, 'run', { connect: connectRun, state: { runDir }, ready })).toEqual(NONE);
  });

  test('a heatmap with a cell and a budget across layers', async () => {
    const ready = async (page: Page): Promise<void> => {
      await page.getByText(/of 896 rows/).waitFor();
      await page.getByText('rows', { exact: true }).first().click();
      await page.getByText('across layers').click();
      await page.getByRole('grid').focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.locator('.top-list tbody tr').first().waitFor();
    };
    const state = { kind: 'heatmap', sources: [{ path: runDir, label: 'rows' }] };
    expect(await faultsOf('heatmap', 'heatmap', { connect: connectHeatmap, state, ready })).toEqual(NONE);
  });

  test('a comparison', async () => {
    const ready = async (page: Page): Promise<void> => {
      await page.getByRole('checkbox', { name: 'All settings' }).check();
      await page.getByText('Sparse rows (SPSFT)').first().waitFor();
      await page.locator('summary').first().click();
    };
    expect(await faultsOf('compare', 'compare', { connect: connectCompare, state: { runDirs }, ready })).toEqual(NONE);
  });

  test.each(['Samples', 'All samples', 'Columns'])('data, its %s', async tab => {
    const sample = (n: number) => `${JSON.stringify({ prompt: `Question ${n} ${'x'.repeat(n)}?`, completion: `Answer ${n % 3}` })}\n`;
    const lines = [...Array.from({ length: 24 }, (_, n) => sample(n)), '{"prompt": "no answer", "completion": ""}\n', sample(1)];
    writeFileSync(join(task.folder, 'shown.jsonl'), (tab === 'Samples' ? lines.slice(20) : lines.filter((_, n) => n !== 24)).join(''));
    const text = 'model: model\ndata:\n  train: shown.jsonl\nmax_length: 32\n';
    const ready = async (page: Page): Promise<void> => {
      await page.getByText('Samples 1 to').first().waitFor();
      await page.getByRole('tab', { name: tab, exact: true }).click();
      if (tab === 'All samples') await page.locator('summary', { hasText: 'Duplicates' }).click();
    };
    const state = { recipe: 'file:///tiny.rowtune.yaml', label: 'tiny' };
    const services = dataPageServices(task, text);
    expect(await faultsOf(`data-${tab.replace(' ', '-').toLowerCase()}`, 'data', { connect: connectData, state, ready, services })).toEqual(
      NONE,
    );
  });

  test('a question to two models, answered by one', async () => {
    const reasoning = 'The user asks about rows. A weight is a matrix, and a row makes one output.';
    const answers = [
      { side: 'base', text: 'A first answer.', reasoning, state: 'done', note: '4 tokens, 12.5 per second' },
      { side: 'tuned', text: '', state: 'failed', note: 'There is not enough memory.' },
    ];
    const nearest = [
      { text: 'How do I reset my password?', similarity: 0.91 },
      { text: 'Where can I find my invoice, and who do I ask if an address on it is wrong?', similarity: 0.34 },
      { text: 'Opening hours', similarity: -0.08 },
    ];
    const near = (['base', 'tuned'] as const).map(side => ({ side, text: '', state: 'done', note: 'nearest texts of the data', nearest }));
    const labels = [
      { label: 'billing', probability: 0.914 },
      { label: 'a problem with the application on a telephone', probability: 0.081 },
      { label: 'shipping', probability: 0.005 },
    ];
    const compared = {
      part: 'eval',
      index: 2,
      count: 40,
      measure: 'logp',
      prompt: 'Is a row an output?',
      answers: [
        { side: 'chosen', text: 'Yes, of its layer.', tokens: 6, base: -1.25, tuned: -0.5 },
        { side: 'rejected', text: 'It depends.', tokens: 4, base: -1, tuned: -2.5 },
      ],
    };
    const state = {
      model: 'm/base',
      revision: 'main',
      baseDir: task.folder,
      adapter: runDir,
      label: 'rows',
      comparesAnswers: true,
      rounds: [
        { prompt: 'Sample 3', answers: [{ side: 'tuned', text: '', state: 'done', compared }] },
        { prompt: 'I was charged twice', answers: [{ side: 'tuned', text: '', state: 'done', note: '3 labels', labels }] },
        { prompt: 'What is a row?', images: [{ name: 'rows.png', thumbnail: THUMBNAIL }, { name: 'old.png' }], answers },
        { prompt: 'I forgot my password', answers: near },
      ],
    };
    const ready = async (page: Page): Promise<void> => {
      await page.getByText('A first answer.').waitFor();
      await page.getByRole('table', { name: 'Mean log-probability per token' }).waitFor();
      await page.getByText('How do I reset my password?').first().waitFor();
      await page.getByText('Reasoning', { exact: true }).filter({ visible: true }).click();
      await page.getByText(reasoning).waitFor();
      await page.getByText('Options', { exact: true }).click();
    };
    expect(await faultsOf('try', 'try', { connect: connectTry, state, ready })).toEqual(NONE);
  });
});
