/** Tests the folder of a new run whose recipe names none. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { freeRunFolder } from '../../../trainer/run/free-run-folder.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';

test('a run that ended before its first update leaves its name, one that trained or is at work keeps it', async () => {
  const baseDir = await temporaryFolder();
  const { recipe } = parseRecipe('model: m\ndata: { train: d }');
  if (recipe === undefined) throw new Error('no recipe');
  const folder = path.join(baseDir, 'runs', 'spam');
  const next = async (state: Record<string, unknown>): Promise<string> => {
    const now = new Date().toISOString();
    const common = { name: 'spam', totalSteps: 8, pid: 1, host: 'elsewhere', startedAt: now, updatedAt: now };
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'state.json'), JSON.stringify({ ...common, ...state }));
    return path.basename(await freeRunFolder({ recipe, recipeFile: 'spam.rowtune.yaml', baseDir }));
  };
  expect(await next({ state: 'failed', step: 0 })).toBe('spam');
  expect(await next({ state: 'failed', step: 1 })).toBe('spam-2');
  expect(await next({ state: 'preparing', step: 0 })).toBe('spam-2');
});
