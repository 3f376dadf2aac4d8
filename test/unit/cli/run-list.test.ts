/** Tests the list of runs: one line per run, however many lines its failure has. */
import { expect, test } from 'vitest';
import { runList } from '../../../trainer/cli/show/run-list.ts';
import type { RunInfo } from '../../../trainer/protocol/messages/rpc-messages.ts';

const BASE: RunInfo = {
  runDir: '/w/runs/a',
  name: 'a',
  state: 'finished',
  step: 3,
  totalSteps: 4,
  updatedAt: '2026-01-01T00:00:00.000Z',
  ageSeconds: 5,
  startedAt: '2026-01-01T00:00:00.000Z',
  resumable: true,
};
const run = (changes: Partial<RunInfo>): RunInfo => ({ ...BASE, ...changes });

test('a reason of many lines takes one, cut with a note where the rest is', () => {
  const reason = `model.safetensors:\n${'  - tensor "w": lies outside the file\n'.repeat(5)}`;
  const lines = runList([run({ state: 'failed', reason }), run({ runDir: '/w/runs/b', name: 'b' })], '/w').split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[1]).toMatch(/failed \(model\.safetensors: - tensor "w": lies .{20,}…\) +3\/4 .* 5\.0 s ago +runs\/a/);
  expect(lines[3]).toMatch(/log\.txt/);
});

test('a run that waits has no number of steps yet', () => {
  const [, line] = runList([run({ state: 'queued', step: 0, totalSteps: 0 })], '/w').split('\n');
  expect(line).toMatch(/^a +queued +5\.0 s ago/);
});

test('a short reason stands as it is, without a note', () => {
  const lines = runList(
    [run({ state: 'stopped', reason: 'the disk is full' }), run({ state: 'stopped', reason: 'stopped at your request' })],
    '/w',
  ).split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[1]).toContain('stopped (the disk is full)');
  expect(lines[2]).toMatch(/^a +stopped at your request +3\/4/);
});
