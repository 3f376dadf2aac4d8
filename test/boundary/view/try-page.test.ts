/** Tests the Try page in a real browser: the labels of a text, and the answers of a sample, side by side with their scores. */
import { type Browser, chromium } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectTry } from '../../../client/pages/try-host.ts';
import type { RequestParams } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { fakeDaemon } from '../../support/daemon/fake-daemon.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';
import { findChromium, openWithHost } from '../../support/pages/browser-page.ts';
import { testServices } from '../../support/pages/page-host.ts';

const executablePath = findChromium();
let browser: Browser;

beforeAll(async () => {
  if (executablePath !== undefined) browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
afterAll(async () => browser?.close());

const compared = {
  part: 'eval',
  index: 4,
  count: 8,
  measure: 'reward',
  prompt: 'Q4: ',
  answers: [
    { side: 'chosen', text: 'ok', tokens: 2, base: 0.5, tuned: 2 },
    { side: 'rejected', text: 'no!', tokens: 3, base: 1, tuned: -1 },
  ],
};

/** Creates services with a daemon that answers every request at once. */
function answeringServices(answer: object, readsImages = false) {
  const services = testServices();
  const asked: RequestParams<'generate'>[] = [];
  const daemon = fakeDaemon({
    readsImages: async () => ({ readsImages }),
    generate: async params => {
      asked.push(params);
      const result = { text: '', ids: [], tokensPerSecond: 0, finishReason: 'end', ...answer };
      const job = jobRecord({ id: params.id, kind: 'generate', state: 'succeeded', title: 'm', result });
      services.store.put(job);
      return job;
    },
  });
  return { ...services, asked, daemon: async () => daemon };
}

const pictureOf = (background: string, width: number, height: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();

const PASTE = 'new ClipboardEvent("paste", { ...given, clipboardData: dataTransfer })';

const state = { model: '/m', revision: 'main', baseDir: '/w', label: 'better', adapter: '/w/runs/better', comparesAnswers: true };

describe.skipIf(executablePath === undefined)(`the Try page${executablePath ? '' : ' (skipped: no Chromium on this machine)'}`, () => {
  test('scores the answers of the chosen sample, and has no prompt if the model writes no text', async () => {
    const services = answeringServices({ compared });
    const { page, errors } = await openWithHost(browser, 'try', { connect: connectTry, state: { ...state, scoresOnly: true }, services });
    const field = page.getByLabel('Sample', { exact: true });
    await page.getByText('tuned to score answers').waitFor();
    await field.fill('5');
    expect(await page.getByRole('textbox', { name: 'Prompt' }).isVisible()).toBe(false);
    await field.press('Enter');
    await page.getByRole('region', { name: 'Better answer' }).getByText('ok', { exact: true }).waitFor();
    await page.getByRole('region', { name: 'Worse answer' }).getByText('no!').waitFor();
    const rows = page.getByRole('table', { name: 'Reward' }).getByRole('row');
    expect(await rows.allTextContents()).toEqual(['Base modelTuned model', 'Better answer0.52', 'Worse answer1-1', 'Margin-0.53']);
    await page.getByText('The margin rose from -0.5 to 3.').first().waitFor();
    await page.getByText('of 8', { exact: true }).waitFor();
    await page.setViewportSize({ width: 300, height: 900 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(300);
    expect(services.asked.map(({ sample, adapter }) => [sample, adapter])).toEqual([[4, state.adapter]]);
    expect(errors).toEqual([]);
    await page.close();
  });

  test('shows the labels of a text as a table, without a base model', async () => {
    const labels = [
      { label: 'billing', probability: 0.9876 },
      { label: 'crash', probability: 0.0124 },
    ];
    const services = answeringServices({ labels });
    const { page, errors } = await openWithHost(browser, 'try', {
      connect: connectTry,
      state: { ...state, comparesAnswers: false, givesLabels: true },
      services,
    });
    await page.getByText('Enter a text to see its labels.').waitFor();
    await page.keyboard.type('charged twice');
    await page.keyboard.press('Control+Enter');
    const rows = page.getByRole('region', { name: 'Tuned model' }).getByRole('table', { name: 'Labels of the text' }).getByRole('row');
    await rows.first().waitFor();
    expect(await rows.allTextContents()).toEqual(['LabelProbability', 'billing98.8%', 'crash1.2%']);
    const bars = await page.locator('.bar').evaluateAll(found => found.map(({ style }) => style.width));
    expect([bars, services.asked.map(({ prompt, adapter }) => [prompt, adapter]), errors]).toEqual([
      ['98.76%', '1.24%'],
      [['charged twice', state.adapter]],
      [],
    ]);
    await page.close();
  });

  test('has a prompt if the run writes text, and scores answers if the run compares them', async () => {
    const services = answeringServices({ compared });
    for (const comparesAnswers of [true, false]) {
      const { page, errors } = await openWithHost(browser, 'try', { connect: connectTry, state: { ...state, comparesAnswers }, services });
      await page.getByText('compared with the tuned model').waitFor();
      expect(await page.getByRole('textbox', { name: 'Prompt' }).isVisible()).toBe(true);
      expect(await page.getByRole('button', { name: 'Score answers' }).isVisible()).toBe(comparesAnswers);
      expect(errors).toEqual([]);
      await page.close();
    }
  });

  test('attaches images that are chosen, dropped and pasted, and sends them with the question', async () => {
    const services = answeringServices({ text: 'Red, then blue.', ids: [1, 2] }, true);
    const { page, errors } = await openWithHost(browser, 'try', {
      connect: connectTry,
      state: { ...state, comparesAnswers: false },
      services,
    });
    const list = page.getByRole('list', { name: 'Attached images' });
    const choosing = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: 'Add images…' }).press('Enter');
    const [red, blue] = await Promise.all([pictureOf('red', 300, 200), pictureOf('blue', 40, 80)]);
    await (await choosing).setFiles([
      { name: 'red.png', mimeType: 'image/png', buffer: red },
      { name: 'blue.png', mimeType: 'image/png', buffer: blue },
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('x') },
    ]);
    await list.getByRole('img', { name: 'blue.png' }).waitFor();
    await page.getByText('notes.txt is not an image that can be attached.').first().waitFor();
    await page.getByRole('button', { name: 'Remove red.png' }).press('Enter');
    await list.getByRole('img', { name: 'red.png' }).waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe('Remove blue.png');
    for (const name of ['dropped.png', 'pasted.png']) {
      const event = name === 'dropped.png' ? 'new DragEvent("drop", { ...given, dataTransfer })' : PASTE;
      await page.evaluate(`{
        const bytes = Uint8Array.from(atob('${red.toString('base64')}'), digit => digit.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], '${name}', { type: 'image/png' }));
        const given = { bubbles: true, cancelable: true };
        document.querySelector('textarea').dispatchEvent(${event});
      }`);
      await list.getByRole('img', { name }).waitFor();
    }
    await page.getByRole('textbox', { name: 'Prompt' }).fill('Which colors?');
    await page.keyboard.press('Control+Enter');
    const asked = page.getByRole('list', { name: 'Images of the prompt' }).getByRole('img');
    await asked.nth(2).waitFor();
    expect(await asked.evaluateAll(found => found.map(image => image.getAttribute('alt')))).toEqual([
      'blue.png',
      'dropped.png',
      'pasted.png',
    ]);
    expect(await list.isVisible()).toBe(false);
    const sent = [blue, red, red].map(bytes => `data:image/png;base64,${bytes.toString('base64')}`);
    expect([services.asked.map(({ images }) => images), errors]).toEqual([[sent, sent], []]);
    await page.close();
  });

  test('a value out of bounds is replaced by the one that is used', async () => {
    const services = answeringServices({ text: 'x', ids: [1] });
    const { page } = await openWithHost(browser, 'try', { connect: connectTry, state, services });
    await page.getByText('Options', { exact: true }).click();
    for (const [field, wrong, used] of [
      ['Tokens', '0', '1'],
      ['Temperature', '-3', '0'],
      ['Seed', '', '42'],
    ] as const) {
      await page.getByLabel(field).fill(wrong);
      await page.getByLabel(field).press('Tab');
      expect(await page.getByLabel(field).inputValue()).toBe(used);
    }
    await page.close();
  });

  test('offers no images to a model that reads none', async () => {
    const services = answeringServices({ text: 'x', ids: [1] });
    const { page } = await openWithHost(browser, 'try', { connect: connectTry, state, services });
    await page.getByText('compared with the tuned model').waitFor();
    expect(await page.getByRole('button', { name: 'Add images…' }).isVisible()).toBe(false);
    await page.close();
  });
});
