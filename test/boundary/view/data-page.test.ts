/** Tests the data page in a real browser with the real job: samples, facts about all samples, and columns mapped by hand. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectData } from '../../../client/pages/data-host.ts';
import { findChromium, openWithHost } from '../../support/pages/browser-page.ts';
import { dataPageServices } from '../../support/pages/data-page-services.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const executablePath = findChromium();
const task = makeTinyTask();
let browser: Browser;

beforeAll(async () => {
  if (executablePath !== undefined) browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
afterAll(async () => {
  await browser?.close();
  rmSync(task.folder, { recursive: true, force: true });
});

const state = { recipe: 'file:///tiny.rowtune.yaml', label: 'tiny' };

describe.skipIf(executablePath === undefined)(`the data page${executablePath ? '' : ' (skipped: no Chromium on this machine)'}`, () => {
  test('shows tokens by their use, turns pages, and opens a sample where it stands', async () => {
    const lines = Array.from({ length: 25 }, (_, n) => `${JSON.stringify({ prompt: `Q${n}?`, completion: `A${n}` })}\n`);
    writeFileSync(join(task.folder, 'shown.jsonl'), lines.join(''));
    const services = dataPageServices(task, 'model: model\ndata:\n  train: shown.jsonl\nmax_length: 48\n');
    const { page, errors } = await openWithHost(browser, 'data', { connect: connectData, state, services });
    await page.getByText('Samples 1 to 20').first().waitFor();
    const first = page.getByRole('article').first();
    expect(await first.locator('.run.trained').textContent()).toContain('trained: A0</s> end of trained');
    expect(await first.locator('.run.context').textContent()).toBe('<s>Q0?');
    expect(await page.getByRole('button', { name: 'Earlier' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Later' }).press('Enter');
    await page.getByText('Samples 21 to 25').first().waitFor();
    expect(await page.getByRole('button', { name: 'Later' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: '25 · shown.jsonl:25' }).press('Enter');
    await expect.poll(() => services.calls.find(([name]) => name === 'openFile')?.[1]).toBe(`${join(task.folder, 'shown.jsonl')}:25`);
    await page.getByRole('tab', { name: 'Samples', exact: true }).press('ArrowRight');
    await page.getByRole('table', { name: /Batches of an epoch/ }).waitFor();
    await page.getByText('25 samples').first().waitFor();
    expect(errors).toEqual([]);
    await page.close();
  });

  test('names columns that are not recognized, and writes the chosen ones into the recipe', async () => {
    writeFileSync(join(task.folder, 'named.jsonl'), '{"body": "hello", "kind": "ham"}\n{"body": "WIN", "kind": "spam"}\n');
    const services = dataPageServices(task, 'model: model\ndata:\n  train: named.jsonl\nmax_length: 48\n');
    const { page, errors } = await openWithHost(browser, 'data', { connect: connectData, state, services });
    await page.getByRole('alert').getByText('the keys "body" and "kind"').waitFor();
    await page.getByRole('tab', { name: 'Columns' }).click();
    await page.getByLabel('text', { exact: true }).selectOption('body');
    await page.getByLabel('label', { exact: true }).selectOption('kind');
    await page.getByRole('button', { name: 'Write to recipe' }).press('Enter');
    await page.getByText('Samples 1 to 2').first().waitFor({ state: 'attached' });
    expect(services.recipeText()).toBe('model: model\ndata:\n  columns: {text: body, label: kind}\n  train: named.jsonl\nmax_length: 48\n');
    await page.getByRole('tab', { name: 'Samples', exact: true }).click();
    await page.getByRole('article').first().getByText('ham', { exact: true }).first().waitFor();
    expect(await page.getByRole('alert').isVisible()).toBe(false);
    expect(errors).toEqual([]);
    await page.close();
  });
});
