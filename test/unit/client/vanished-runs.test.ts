/** Tests that a run deleted elsewhere differs from one being replaced, and from one that a list does not reach. */
import { describe, expect, test } from 'vitest';
import { type RunListing, VanishedRuns, withUnreached } from '../../../client/views/vanished-runs.ts';

const list = (names: string, change: Partial<RunListing> = {}): RunListing => ({
  folders: ['/w'],
  runs: Array.from(names, name => ({ runDir: `/w/${name}` })),
  truncated: false,
  busy: [],
  ...change,
});

test('a run missing in two lists was deleted, and is reported once', () => {
  const vanished = new VanishedRuns();
  expect(vanished.look(list('abc'))).toEqual({ deleted: [], isUnsure: false });
  expect(vanished.look(list('a'))).toEqual({ deleted: [], isUnsure: true });
  expect(vanished.look(list('a'))).toEqual({ deleted: ['/w/b', '/w/c'], isUnsure: false });
  expect(vanished.look(list('a'))).toEqual({ deleted: [], isUnsure: false });
});

test('a run that is listed again was not deleted', () => {
  const vanished = new VanishedRuns();
  vanished.look(list('ab'));
  expect(vanished.look(list('a')).isUnsure).toBe(true);
  expect(vanished.look(list('ab'))).toEqual({ deleted: [], isUnsure: false });
  expect(vanished.look(list('a'))).toEqual({ deleted: [], isUnsure: true });
});

test.each<[string, Partial<RunListing>]>([
  ['a list that was cut', { truncated: true }],
  ['a list of other folders', { folders: ['/w', '/x'] }],
  ['a job at work in it', { busy: ['/w/b'] }],
])('%s says nothing of what is missing', (_, change) => {
  const vanished = new VanishedRuns();
  vanished.look(list('ab', change.folders === undefined ? change : {}));
  vanished.look(list('a', change));
  expect(vanished.look(list('a', change)).deleted).toEqual([]);
});

describe('a list that was cut short', () => {
  const runs = (...names: string[]) => names.map(runDir => ({ runDir }));

  test('keeps the runs that it did not reach, unless their files are gone', () => {
    const isThere = (runDir: string): boolean => runDir !== 'deleted';
    const before = runs('a', 'b', 'deleted');
    expect(withUnreached(before, { runs: runs('b', 'new'), truncated: true }, isThere)).toEqual(runs('b', 'new', 'a'));
    expect(withUnreached(before, { runs: runs('b'), truncated: false }, isThere)).toEqual(runs('b'));
  });
});
