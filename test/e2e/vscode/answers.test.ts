/** Tests the answers of a run and the weights of its data in a real editor: by keyboard, and with names for screen readers. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { expect, test } from 'vitest';
import { readRecord } from '../../support/files/read-json.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import type { TinyTask } from '../../support/runs/tiny-task.ts';
import type { Workbench } from './driver.ts';
import { describeEditor } from './session.ts';

const SHORT = ['model: model', 'engine: portable', 'method: full', 'learning_rate: 0.01', 'per_device_train_batch_size: 4'];
const JUDGE = [...SHORT, 'task: reward', 'data: { train: pairs.jsonl }', 'val_size: 4', 'max_length: 60', 'max_steps: 2', ''].join('\n');
const ANSWERS = [
  ...SHORT,
  'data: { train: texts.jsonl }',
  'val_size: 24',
  'max_length: 60',
  'max_steps: 4',
  'eval_strategy: steps',
  'eval_steps: 2',
  'eval_generation: { checks: [rouge_l], reward_model: runs/judge, max_new_tokens: 8, max_samples: 24 }',
  '',
].join('\n');
const CHATS = 'model: chat-model\ndata: { train: chats.jsonl }\nmax_length: 60\n';
const TEMPLATE = '{% for m in messages %}{{ m.role[:1] }} {{ m.content }}</s>\n{% endfor %}{% if add_generation_prompt %}a {% endif %}';

/** Some samples expect several lines, which such a short training does not teach, so their answers are imperfect. */
const sample = (n: number) =>
  n % 3 === 0
    ? { prompt: `Extract as JSON:\n\nOrder ${n}: nails.`, completion: '{\n  "item": "nails"\n}' }
    : { prompt: `Q${n}: `, completion: '[1]' };
const chat = (n: number) => ({
  messages: [
    { role: 'user', content: `Q${n}?` },
    { role: 'assistant', content: 'Perhaps.', weight: n % 2 === 0 ? 0.25 : 0.75 },
    { role: 'user', content: 'Sure?' },
    { role: 'assistant', content: 'Yes.' },
  ],
});
const lines = (count: number, line: (n: number) => unknown): string =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify(line(n))}\n`).join('');

async function trainIn({ folder, context }: TinyTask, name: string, recipe: string): Promise<void> {
  await runInProcess({ kind: 'train', recipe: recipeIn(recipe), runDir: join(folder, 'runs', name), context });
}

/** Returns the name of the focused element. */
const focusedIn = (page: Frame): Promise<string> =>
  page.evaluate(
    `(({ ariaLabel, labels, textContent }) => ariaLabel ?? labels?.[0]?.textContent.trim() ?? textContent)(document.activeElement)`,
  );

describeEditor(
  'answers in the editor',
  ({ folder }) => {
    const files = {
      'texts.jsonl': lines(40, sample),
      'pairs.jsonl': lines(16, n => ({ prompt: `Q${n}: `, chosen: '[1]', rejected: 'no' })),
      'chats.jsonl': lines(4, chat),
      'chats.rowtune.yaml': CHATS,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    cpSync(join(folder, 'model'), join(folder, 'chat-model'), { recursive: true });
    const config = join(folder, 'chat-model', 'tokenizer_config.json');
    writeFileSync(config, JSON.stringify({ ...readRecord(config), chat_template: TEMPLATE }));
  },
  session => {
    let workbench: Workbench;

    test('answers are opened, paged and filtered by keyboard', async () => {
      const { task } = session();
      await trainIn(task, 'judge', JUDGE);
      await trainIn(task, 'answers', ANSWERS);
      workbench = await session().open('answers');
      await workbench.runCommandOn('Rowtune: Open Run', 'answers');
      const page = await workbench.webview('.run-facts');
      await page.getByRole('tab', { name: 'Results' }).click();
      await page.locator('summary', { hasText: 'Answers to 24 held-out prompts' }).focus();
      await workbench.press('Enter');
      const table = page.getByRole('table', { name: 'Answers' });
      await table.waitFor();
      const columns = () => table.getByRole('columnheader').allTextContents();
      await expect.poll(columns).toEqual(['Prompt', 'Expected', 'Original model', 'Step 4', 'Checks', 'Reward']);
      await expect.poll(() => table.getByRole('rowheader').count()).toBe(20);
      const where = page.locator('[aria-live=polite]', { hasText: /^(prompts \d|no prompts)/ });
      await workbench.screenshot('answers');
      const reached: string[] = [];
      while (reached.at(-1) !== 'Next' && reached.length < 9) {
        await workbench.press('Tab');
        reached.push(await focusedIn(page));
      }
      expect(reached).toEqual(['Evaluation', 'Only imperfect', 'Previous', 'Next']);
      await workbench.press('Enter');
      await expect.poll(() => where.textContent()).toBe('prompts 21 to 24 of 24');
      // There is no next page, but the button keeps the focus.
      expect(await focusedIn(page)).toBe('Next');
      await workbench.press('Enter');
      await workbench.press('Shift+Tab');
      expect(await focusedIn(page)).toBe('Previous');
      expect(await where.textContent()).toBe('prompts 21 to 24 of 24');
      await workbench.press('Enter');
      await expect.poll(() => where.textContent()).toBe('prompts 1 to 20 of 24');
      await workbench.press('Shift+Tab');
      await workbench.press('Space');
      await expect.poll(() => page.getByLabel('Only imperfect').isChecked()).toBe(true);
      const shown = async () => Number(/of (\d+)$/.exec((await where.textContent()) ?? '')?.[1]);
      await expect.poll(shown).toBeLessThan(24);
      expect(await shown()).toBeGreaterThan(0);
      await workbench.press('Shift+Tab');
      await workbench.press('Home');
      await expect.poll(columns).toEqual(['Prompt', 'Expected', 'Original model', 'Checks', 'Reward']);
      await workbench.screenshot('original');
    });

    test('the weight of an answer is shown and spoken in the preview of the data', async () => {
      await workbench.openFile('chats.rowtune.yaml');
      await workbench.runCommandUntil('Rowtune: Preview Data', workbench.tab('Data: chats'));
      const page = await workbench.webview('article .weight');
      await expect.poll(() => page.locator('.run.weighed').first().textContent()).toMatch(/trained with the weight 0\.25: ×0\.25Perhaps\./);
      await expect.poll(() => page.locator('.weight').allTextContents()).toEqual(['×0.25', '×0.75', '×0.25', '×0.75']);
      await workbench.screenshot('weights');
    });
  },
);
