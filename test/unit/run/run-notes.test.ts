/** Tests that names, tags and notes of runs are stored in their folders and appear in every list; nothing else of a run changes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { listRuns } from '../../../trainer/run/run-folder.ts';
import { changeRunNotes, readRunNotes } from '../../../trainer/run/run-notes.ts';
import type { RunState } from '../../../trainer/run/run-state.ts';

const root = mkdtempSync(join(tmpdir(), 'rowtune-notes-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const run = (name: string, startedAt: string): string => {
  const folder = join(root, name);
  mkdirSync(folder);
  const state: RunState = { state: 'finished', name, step: 3, totalSteps: 3, startedAt, updatedAt: startedAt, pid: 1 };
  writeFileSync(join(folder, 'state.json'), JSON.stringify(state));
  return folder;
};

test('notes are listed with pinned runs first, and empty texts remove them', async () => {
  const [old, young] = [run('old', '2026-01-01T00:00:00.000Z'), run('young', '2026-02-01T00:00:00.000Z')];
  expect((await listRuns([root])).runs.map(({ name }) => name)).toEqual(['young', 'old']);
  await changeRunNotes(old, { name: ' first try ', addTags: ['paper', 'a'], note: 'rows of all layers', pinned: true });
  await changeRunNotes(old, { addTags: ['paper', 'b'], removeTags: ['a'] });
  await changeRunNotes(young, { archived: true });
  const [first, second] = (await listRuns([root])).runs;
  expect(first).toMatchObject({ name: 'first try', tags: ['paper', 'b'], note: 'rows of all layers', pinned: true, runDir: old });
  expect(second).toMatchObject({ name: 'young', archived: true });
  await changeRunNotes(old, { name: '', note: '', pinned: false, removeTags: ['paper', 'b'] });
  expect(await readRunNotes(old)).toEqual({});
  expect((await listRuns([root])).runs.map(({ name }) => name)).toEqual(['young', 'old']);
});

test('changes that are made at the same time are all kept', async () => {
  const folder = run('busy', '2026-03-01T00:00:00.000Z');
  await Promise.all([
    ...['a', 'b', 'c'].map(tag => changeRunNotes(folder, { addTags: [tag] })),
    changeRunNotes(folder, { note: 'kept' }),
    changeRunNotes(folder, { pinned: true }),
  ]);
  expect(await readRunNotes(folder)).toEqual({ tags: ['a', 'b', 'c'], note: 'kept', pinned: true });
});

test.each([
  ['is damaged', '{"note": "hours of thought"', /expected "," or "}" at line 1, column 28$/],
  ['has other content', '{"note": 3}', /expected string, received number/],
])('a file that %s is not replaced', async (name, text, reason) => {
  const folder = run(name, '2026-03-01T00:00:00.000Z');
  writeFileSync(join(folder, 'notes.json'), text);
  await expect(changeRunNotes(folder, { addTags: ['x'] })).rejects.toMatchObject({
    code: 'damaged-notes',
    message: expect.stringMatching(reason),
  });
  expect(readFileSync(join(folder, 'notes.json'), 'utf8')).toBe(text);
});

test('notes that are no file are refused', async () => {
  const folder = run('blocked', '2026-03-01T00:00:00.000Z');
  mkdirSync(join(folder, 'notes.json'));
  await expect(changeRunNotes(folder, { note: 'x' })).rejects.toMatchObject({
    code: 'damaged-notes',
    message: expect.stringMatching(/the notes in .*blocked.notes\.json cannot be read: .*is a folder, not a regular file$/),
  });
});

test('a text that is too long changes nothing, and a damaged file is ignored', async () => {
  const folder = run('other', '2026-03-01T00:00:00.000Z');
  await changeRunNotes(folder, { note: 'kept' });
  await expect(changeRunNotes(folder, { name: 'x'.repeat(201) })).rejects.toThrow('1 to 200 characters');
  expect(await readRunNotes(folder)).toEqual({ note: 'kept' });
  writeFileSync(join(folder, 'notes.json'), '{damaged');
  expect((await listRuns([root])).runs.find(({ runDir }) => runDir === folder)?.name).toBe('other');
});
