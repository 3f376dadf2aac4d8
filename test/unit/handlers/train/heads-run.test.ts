/** Tests runs that train whole attention heads: rows, columns or coupled channels, chosen by scores or at random. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openModel } from '../../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../../trainer/model/load-model.ts';
import { runInProcess, stopAfter } from '../../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const settings = [
  'engine=portable',
  'max_steps=2',
  'logging_steps=1',
  'save_strategy="no"',
  'r=4',
  'importance.samples=4',
  'importance.heads=true',
];
const { config, weights } = await openModel(join(task.folder, task.recipe(...settings).model));
await weights.close();
const modules = new Map(loadModel(config).modules.map(module => [module.name, module]));

async function chosen(name: string, more: readonly string[]): Promise<Map<string, number[]>> {
  const runDir = join(task.folder, name);
  const { value } = await runInProcess({ kind: 'train', recipe: task.recipe(...settings, ...more), runDir, context });
  expect(value).toMatchObject({ state: 'finished', steps: 2 });
  const selection: Record<string, number[]> = JSON.parse(readFileSync(join(runDir, 'selection.json'), 'utf8'));
  return new Map(Object.entries(selection));
}

/** Expects groups of `size` neighbors, each starting at a multiple of it. @returns the number of groups */
function wholeHeads(units: readonly number[], size: number): number {
  const heads = [...new Set(units.map(unit => Math.floor(unit / size)))];
  expect(units).toEqual(heads.flatMap(head => Array.from({ length: size }, (_, i) => head * size + i)));
  return heads.length;
}

describe.each(['taylor_row', 'random'])('by %s', measure => {
  test.each(['rows', 'columns', 'coupled'] as const)('%s', async trains => {
    const selection = await chosen(`${measure} ${trains}`, [`importance.measure=${measure}`, `trains=${trains}`]);
    let headed = 0;
    for (const [name, units] of selection) {
      const head = modules.get(name)?.head;
      const size = !head
        ? undefined
        : trains !== 'columns' && 'rows' in head
          ? head.rows
          : trains !== 'rows' && 'columns' in head
            ? head.columns
            : undefined;
      if (size === undefined) expect(units).toHaveLength(4);
      else {
        headed++;
        expect(wholeHeads(units, size)).toBeGreaterThan(0);
      }
    }
    expect(headed).toBeGreaterThan(0);
  });
});

test('a stopped run continues with its heads, to the bit', async () => {
  const recipe = task.recipe(...settings, 'max_steps=4', 'importance.measure=taylor_row', 'importance.selection=global');
  const [whole, parts] = [join(task.folder, 'whole'), join(task.folder, 'parts')];
  const once = await runInProcess({ kind: 'train', recipe, runDir: whole, context });
  const first = await runInProcess({ kind: 'train', recipe, runDir: parts, context }, stopAfter(2));
  const second = await runInProcess({ kind: 'resume', runDir: parts, overrides: [], context });
  expect(new Map([...first.losses, ...second.losses])).toEqual(once.losses);
});
