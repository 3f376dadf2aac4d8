/** Tests which lists of runs give the chat different models. */
import { expect, test } from 'vitest';
import { ListedModels } from '../../../client/agent/listed-models.ts';

const run = (name: string, change: { readonly archived?: boolean; readonly resumable?: boolean; readonly runDir?: string } = {}) => ({
  runDir: `/w/${name}`,
  name,
  resumable: true,
  ...change,
});

test.each([
  ['a run was renamed', [run('a'), run('c', { runDir: '/w/b' })], true],
  ['a run was archived', [run('a'), run('b', { archived: true })], true],
  ['a run was deleted', [run('a')], true],
  ['a run has its first checkpoint', [run('a'), run('b'), run('new')], true],
  ['another order', [run('b'), run('a')], false],
  ['a run without a checkpoint', [run('a'), run('b'), run('new', { resumable: false })], false],
])('%s', (_, runs, isOther) => {
  const listed = new ListedModels();
  expect(listed.differ([run('a'), run('b')])).toBe(false);
  expect(listed.differ(runs)).toBe(isOther);
  expect(listed.differ(runs)).toBe(false);
});
