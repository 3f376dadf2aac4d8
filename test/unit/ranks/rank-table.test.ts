/** Tests which of several ranks failed first, and why, however late their connections and the launcher's messages are. */
import { expect, test, vi } from 'vitest';
import type { Channel } from '../../../trainer/ranks/rank-channel.ts';
import { howEnded, RankTable } from '../../../trainer/ranks/rank-table.ts';

class Connection implements Channel {
  private readonly listeners: (() => void)[] = [];
  send = (): void => undefined;
  onMessage = (): void => undefined;
  onEnd = (listener: () => void): void => void this.listeners.push(listener);
  close = (): void => undefined;
  end(): void {
    for (const listener of this.listeners) listener();
  }
}

/** Ids of processes that do not exist. */
const PIDS = [4_000_001, 4_000_002, 4_000_003];

/** Waits several turns of the event loop, so that earlier reads are processed first. */
async function afterwards(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise(resolve => setImmediate(resolve));
}

function joined(): { readonly table: RankTable; readonly lifelines: readonly Connection[] } {
  const table = new RankTable(PIDS.length);
  const lifelines = PIDS.map((pid, rank) => {
    const lifeline = new Connection();
    expect(table.greet({ rank, pid, isLifeline: true }, lifeline)).toBeUndefined();
    expect(table.greet({ rank, pid }, new Connection())).toBe(rank);
    return lifeline;
  });
  return { table, lifelines };
}

test('the rank whose process ended first is named, though the messages of another end before', async () => {
  const { table, lifelines } = joined();
  await afterwards();
  for (const rank of [2, 0, 1]) lifelines[rank]?.end();
  for (const rank of [0, 1, 2]) table.leave(rank);
  table.lines.push('EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({
    code: 'rank-lost',
    message: `rank 2 (process ${PIDS[2]}) was killed (SIGKILL), so all ranks were ended`,
  });
  table.close();
});

test('the rank whose process ended first is named before the end of its messages was seen', async () => {
  const { table, lifelines } = joined();
  await afterwards();
  lifelines[2]?.end();
  lifelines[0]?.end();
  table.leave(0);
  table.lines.push('EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({ message: expect.stringMatching(/^rank 2 /) });
  table.close();
});

test('where a rank was dead when its connection was first read, none is blamed', async () => {
  const { table, lifelines } = joined();
  // The launcher ended rank 0 because of rank 2, whose end is read later.
  lifelines[0]?.end();
  lifelines[2]?.end();
  table.lines.push('EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({
    code: 'rank-lost',
    message: 'a rank was killed (SIGKILL) while the ranks started, so all ranks were ended',
  });
  table.close();
});

test('a rank that was killed after its result is named, and not one that was still to give it', async () => {
  const { table, lifelines } = joined();
  await afterwards();
  table.end(1, { type: 'result', value: {} });
  lifelines[1]?.end();
  table.leave(1);
  lifelines[2]?.end();
  table.leave(2);
  table.lines.push('[mpiexec@n1] Exit codes: [n1] 0,9,9', 'EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({
    message: `rank 1 (process ${PIDS[1]}) was killed (SIGKILL), so all ranks were ended`,
  });
  table.close();
});

test('a rank ended by the launcher is not blamed, even if its end was seen first', async () => {
  const { table, lifelines } = joined();
  await afterwards();
  for (const rank of [2, 1, 0]) lifelines[rank]?.end();
  for (const rank of [1, 2, 0]) table.leave(rank);
  table.lines.push('[mpiexec@n1] Exit codes: [n1] 9,9,0', 'EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({ message: expect.stringMatching(/^rank 1 /) });
  table.close();
});

test('a rank that ended normally before another was killed is not blamed', async () => {
  const { table, lifelines } = joined();
  await afterwards();
  table.end(0, { type: 'result', value: {} });
  lifelines[0]?.end();
  table.leave(0);
  lifelines[1]?.end();
  table.leave(1);
  table.lines.push('[mpiexec@n1] Exit codes: [n1] 0,9,9', 'EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({ message: expect.stringMatching(/^rank 1 /) });
  table.close();
});

test.each([
  { lines: ['[mpiexec@n1] Exit codes: [n1] 9,6,0', 'EXIT STRING: Terminated (signal 15)'], rank: 1, how: 'was ended by signal 6' },
  { lines: ['[mpiexec@n1] Exit codes: [n1] 9,11', 'EXIT STRING: Segmentation fault (signal 11)'], rank: 0, how: 'was killed (SIGKILL)' },
  { lines: ['[mpiexec@n1] Exit codes: [n1] 0,256'], rank: 1, how: 'ended unexpectedly' },
  { lines: ['rank 0 was ended by signal 9', 'rank 1 was ended by signal 11'], rank: 1, how: 'was ended by signal 11' },
  { lines: ['=   KILLED BY SIGNAL: 9 (Killed)'], rank: 1, how: 'was killed (SIGKILL)' },
  { lines: [], rank: 0, how: 'ended unexpectedly' },
])('rank $rank $how by $lines', ({ lines, rank, how }) => {
  expect(howEnded(lines, rank)).toBe(how);
});

test('messages that arrived during a pause count, even after the deadline', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const { table, lifelines } = joined();
  table.launcherEnded();
  vi.runAllTimers();
  // Read in the turn after that of the timer.
  setImmediate(() => {
    lifelines[1]?.end();
    table.leave(1);
  });
  await expect(table.outcome).rejects.toMatchObject({ message: expect.stringMatching(/^rank 1 /) });
  table.close();
  vi.useRealTimers();
});

test('a rank that goes before it says who it is, is not taken for one that the launcher ended', async () => {
  const table = new RankTable(2);
  const [pid = 0] = PIDS;
  expect(table.greet({ rank: 0, pid }, new Connection())).toBe(0);
  table.leave(0);
  table.lines.push('EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({
    code: 'rank-lost',
    message: '1 of 2 processes started; the launcher said:\nEXIT STRING: Killed (signal 9)',
  });
  table.close();
});

test('a rank that gives its reason is believed before those that were ended for it', async () => {
  const { table, lifelines } = joined();
  lifelines[0]?.end();
  table.leave(0);
  table.end(1, { type: 'failed', code: 'disk-full', message: 'the disk is full' });
  await expect(table.outcome).rejects.toMatchObject({ code: 'disk-full', message: 'rank 1: the disk is full' });
  table.close();
});
