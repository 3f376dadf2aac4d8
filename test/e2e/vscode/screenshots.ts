/**
 * Takes the pictures of the documentation, and of every page in every kind of theme, in a real editor: `npm run screenshots`. They show the
 * demo's run, with its held-out data evaluated along the way.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Frame } from 'playwright-core';
import { expect, inject, test } from 'vitest';
import { z } from 'zod';
import { parseJson } from '../../support/files/read-json.ts';
import { until } from '../../support/machine/until.ts';
import type { Workbench } from './driver.ts';
import { shownState } from './long-run.ts';
import { describeEditor } from './session.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Set by scripts/screenshots.mjs: the model and the mails of the demo. */
    readonly demo: { readonly model: string; readonly train: string; readonly heldOut: string };
  }
}

/** Time limit for two trainings of a real model on a busy machine. */
const TRAINED_MS = 3_000_000;
/** Number of held-out mails that are evaluated every few steps. */
const HELD_OUT = 40;
/** Labels of themes, and the class of a window with each. */
const THEMES = [
  ['Dark Modern', 'vs-dark'],
  ['Light Modern', 'vs'],
  ['Dark High Contrast', 'hc-black'],
  ['Light High Contrast', 'hc-light'],
] as const;
/** Name and tab of each page, and the elements that it has once it is drawn. */
const PAGES: readonly (readonly [name: string, tab: RegExp, drawn: readonly string[]])[] = [
  ['recipe', /(^|\s)spam\.rowtune\.yaml/, []],
  ['run', /Run: spam(?!-)/, ['.results strong', '.uplot canvas']],
  ['heatmap', /Heatmap: spam(?!-)/, ['.legend-ticks span', '.top-list tbody tr']],
  ['compare', /Compare: /, ['.compared-run', '.uplot canvas']],
  ['try', /Try: spam(?!-)/, ['text=as in training']],
];
const EVERY_THEME = process.env.ROWTUNE_SCREENSHOT_THEMES === '1';
const SCHEDULE = 'logging_steps: 1\neval_strategy: steps\neval_steps: 15\n';
/** Settings that make the run shorter than the demo's. */
const SHORTER = [
  [/samples: \d+/, 'samples: 16'],
  [/max_length: \d+/, 'max_length: 96'],
  [/num_train_epochs: \d+/, 'max_steps: 60'],
] as const;

/** The demo's recipe as a user would write it in their own folder, without the notes for readers of the repository. */
function recipe(model: string): string {
  const example = readFileSync(join(import.meta.dirname, '..', '..', '..', 'examples', 'spam.rowtune.yaml'), 'utf8');
  const text = example
    .replace(/^(#.*\n)+/, '')
    .replace(/^model: .*$/m, `model: ${model}`)
    .replace(/ +#.*$/gm, '');
  return SHORTER.reduce((changed, [setting, shorter]) => changed.replace(setting, shorter), text) + SCHEDULE;
}

const loraRecipe = (model: string): string =>
  recipe(model)
    .replace(/^name: .*$/m, 'name: spam-lora')
    .replace(/^method: .*$/m, 'method: lora')
    .replace(/^importance:\n( .*\n)+/m, '')
    .replace(/^max_steps: .*$/m, 'max_steps: 20');

describeEditor(
  'pictures',
  ({ folder }) => {
    const { model, train, heldOut } = inject('demo');
    const mails = join(folder, 'mails');
    mkdirSync(join(mails, 'data', 'spam'), { recursive: true });
    symlinkSync(model, join(mails, basename(model)));
    writeFileSync(join(mails, 'data', 'spam', 'train.jsonl'), readFileSync(train));
    const lines = readFileSync(heldOut, 'utf8').split('\n');
    writeFileSync(join(mails, 'data', 'spam', 'heldout.jsonl'), `${lines.slice(0, HELD_OUT).join('\n')}\n`);
    writeFileSync(join(mails, 'spam.rowtune.yaml'), recipe(basename(model)));
    if (EVERY_THEME) writeFileSync(join(mails, 'spam-lora.rowtune.yaml'), loraRecipe(basename(model)));
  },
  session => {
    let workbench: Workbench;
    const inFolder = (name: string): string => join(session().task.folder, 'mails', name);

    const train = async (name: string): Promise<Frame> => {
      await workbench.openFile(`${name}.rowtune.yaml`);
      await workbench.runCommandUntil('Rowtune: Train This Recipe', workbench.tab(`Run: ${name}`));
      await until(async () => (await shownState(workbench)) === 'finished', `${name} is finished`, TRAINED_MS);
      const page = await workbench.webview('.run-facts');
      await page.getByRole('tab', { name: 'Results' }).click();
      await page.locator('.results strong').first().waitFor();
      return page;
    };

    test(
      'the page of a run',
      async () => {
        workbench = await session().open('docs', join(session().task.folder, 'mails'));
        await train('spam');
        await workbench.clearNotifications();
        await workbench.screenshot('run');
      },
      TRAINED_MS,
    );

    test('the heatmap, with one weight opened', async () => {
      await workbench.runCommandOn('Rowtune: Open Heatmap', 'spam');
      const page = await workbench.webview('.grid-view canvas');
      await page.locator('.message').waitFor({ state: 'hidden' });
      const panel = page.locator('.cell-panel');
      const opensOne = async (): Promise<boolean> => {
        const box = await page.locator('.grid-view').boundingBox();
        if (box !== null && !(await panel.isVisible()))
          await page.locator('.grid-view').click({ position: { x: box.width * 0.65, y: box.height * 0.5 } });
        return panel.isVisible();
      };
      await until(opensOne, 'a cell is open');
      await expect.poll(() => panel.locator('.top-list tbody tr').count()).toBeGreaterThan(4);
      await page.locator('.toolbar').first().hover();
      await workbench.screenshot('heatmap');
    });

    test('a recipe with two mistakes and a quick fix', async () => {
      await workbench.openFile('spam.rowtune.yaml');
      const right = readFileSync(inFolder('spam.rowtune.yaml'), 'utf8');
      writeFileSync(inFolder('spam.rowtune.yaml'), right.replace('learning_rate', 'learnin_rate').replace('linear\n', 'linaer\n'));
      await workbench.squiggles('error').nth(1).waitFor();
      await expect.poll(async () => (await workbench.problems()).length).toBe(2);
      await workbench.openFile('spam.rowtune.yaml');
      await workbench.clearNotifications();
      await workbench.showQuickFix(/learning_rate/);
      await workbench.screenshot('recipe');
      await workbench.press('Escape');
      await workbench.press('Escape');
      writeFileSync(inFolder('spam.rowtune.yaml'), right);
      await workbench.squiggles('error').first().waitFor({ state: 'detached' });
      await workbench.runCommand('View: Hide Panel');
    });

    test.runIf(EVERY_THEME)(
      'every page in every kind of theme',
      async () => {
        await train('spam-lora');
        await workbench.runCommandOnEach('Rowtune: Compare Runs', ['spam', 'spam-lora']);
        await (await workbench.webview('.compared-run')).locator('.compared-run').first().waitFor();
        await workbench.runCommandOn('Rowtune: Try the Model', 'spam');
        const page = await workbench.webview('textarea');
        const [mail = ''] = readFileSync(inFolder('data/spam/heldout.jsonl'), 'utf8').split('\n');
        await page.locator('textarea').fill(parseJson(mail, z.object({ text: z.string() })).text.slice(0, 200));
        await page.locator('textarea').press('Control+Enter');
        for (const name of ['Tuned', 'Base'])
          await page
            .getByRole('region', { name })
            .getByText(/as in training/)
            .waitFor();
        await workbench.runCommand('Rowtune: Focus on Devices View');
        await workbench.runCommand('Rowtune: Focus on Runs View');
        for (const [label, kind] of THEMES) {
          await workbench.theme(label, kind);
          await workbench.clearNotifications();
          for (const [name, tab, drawn] of PAGES) {
            await workbench.tab(tab).click();
            // A page that was hidden is rebuilt and requests its data again.
            for (const selector of drawn) await workbench.webview(selector);
            await workbench.screenshot(`${kind}-${name}`);
          }
        }
      },
      TRAINED_MS,
    );
  },
);
