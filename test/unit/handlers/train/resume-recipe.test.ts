/** Tests which settings a resumed run may change: paths may change, because weights and data are compared. */
import { expect, test } from 'vitest';
import { readResumeRecipe } from '../../../../trainer/handlers/train/resume-recipe.ts';
import { writeRunRecipe } from '../../../../trainer/run/run-folder.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { recipeIn } from '../../../support/runs/recipe-of.ts';

test('a model and data that were moved are given by their new paths; the learning rate stays', async () => {
  const runDir = await temporaryFolder();
  await writeRunRecipe(runDir, recipeIn('model: /old/model\ndata: { train: /old/a.jsonl }\nr: 8\n'));
  const recipe = await readResumeRecipe(runDir, ['model=/new/model', 'data.train=/new/a.jsonl']);
  expect(recipe).toMatchObject({ model: '/new/model', data: { train: ['/new/a.jsonl'] } });
  await expect(readResumeRecipe(runDir, ['learning_rate=1'])).rejects.toThrow("a resumed run can't change learning_rate");
});
