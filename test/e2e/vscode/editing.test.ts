/** A recipe is written in a real editor: the mistake is marked as it is typed, and its fix mends it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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

/** The extension is on the way of everybody who opens a folder; parsing it and asking for its first answers come later. */
const ACTIVATION_BUDGET_MS = 100;
const MOST_STARTS = 8;

describeEditor(
  'a recipe in the editor',
  ({ folder }) => writeFileSync(join(folder, 'mine.rowtune.yaml'), ''),
  session => {
    test('a typo is underlined, and the quick fix writes the key that was meant', async () => {
      const workbench = await session().open('editing');
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

    test(`the extension is up in less than ${ACTIVATION_BUDGET_MS} ms`, async () => {
      const workbench = await session().open('activation');
      const took: number[] = [];
      // Other processes of the machine only make it slower, so the quickest start is its own.
      do {
        if (took.length > 0) await workbench.reload();
        await workbench.statusBarItem('Rowtune').waitFor();
        took.push(await workbench.activationMs('Rowtune'));
      } while (Math.min(...took) >= ACTIVATION_BUDGET_MS && took.length < MOST_STARTS);
      console.log(`activation of the extension: ${took.join(', ')} ms`);
      expect(Math.min(...took)).toBeLessThan(ACTIVATION_BUDGET_MS);
      await workbench.close();
    });
  },
);
