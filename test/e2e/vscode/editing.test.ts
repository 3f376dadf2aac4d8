/** Tests writing a recipe in a real editor: a mistake is marked while it is typed, and its quick fix fixes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Workbench } from './driver.ts';
import { describeEditor } from './session.ts';

const RECIPE = [
  'model: model',
  'method: spsft',
  'r: 8',
  'data: { train: train.jsonl, prompt: "{text}:" }',
  'max_length: 48',
  'learnin_rate: 1.0e-3',
  '',
].join('\n');

describeEditor(
  'a recipe in the editor',
  ({ folder }) => writeFileSync(join(folder, 'mine.rowtune.yaml'), ''),
  session => {
    let workbench: Workbench;

    test('a typo is underlined, and the quick fix writes the key that was meant', async () => {
      workbench = await session().open('editing');
      await workbench.openFile('mine.rowtune.yaml');
      await workbench.statusBarItem('Rowtune').waitFor();
      await workbench.write(RECIPE);
      await workbench.squiggles('error').first().waitFor();
      await workbench.screenshot('squiggle');
      await expect.poll(() => workbench.problems()).toEqual([expect.stringContaining("did you mean 'learning_rate'?")]);
      await workbench.openFile('mine.rowtune.yaml');
      await workbench.applyQuickFix(/learning_rate/);
      await workbench.squiggles('error').first().waitFor({ state: 'detached' });
      await workbench.save();
      expect(readFileSync(join(session().task.folder, 'mine.rowtune.yaml'), 'utf8')).toBe(RECIPE.replace('learnin_', 'learning_'));
    });

    // Printed only, because it depends on the machine and its load.
    test('the editor says that the extension is up', async () => {
      console.log(`activation of the extension: ${await workbench.activationMs('Rowtune')} ms`);
    });
  },
);
