/** A recipe is written in a real editor: the mistake is marked as it is typed, and its quick fix fixes it. */
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

/** Windows in which the activation is timed; the times are printed, as they depend on the machine and on what else it does. */
const STARTS = 3;

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

    test('the editor says that the extension is up', async () => {
      const workbench = await session().open('activation');
      const took: number[] = [];
      for (let start = 0; start < STARTS; start++) {
        if (start > 0) await workbench.reload();
        await workbench.statusBarItem('Rowtune').waitFor();
        took.push(await workbench.activationMs('Rowtune'));
      }
      console.log(`activation of the extension: ${took.join(', ')} ms`);
      await workbench.close();
    });
  },
);
