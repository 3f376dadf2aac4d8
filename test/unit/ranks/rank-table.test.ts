/** Which of several ranks went first, and why, however late their connections and the launcher's words are. */
import { expect, test, vi } from 'vitest';
import type { Channel } from '../../../trainer/ranks/rank-channel.ts';
import { RankTable } from '../../../trainer/ranks/rank-table.ts';

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

/** Processes that do not exist. */
const PIDS = [4_000_001, 4_000_002, 4_000_003];

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
  lifelines[2]?.end();
  lifelines[0]?.end();
  table.leave(0);
  table.lines.push('EXIT STRING: Killed (signal 9)');
  table.launcherEnded();
  await expect(table.outcome).rejects.toMatchObject({ message: expect.stringMatching(/^rank 2 /) });
  table.close();
});

test('what arrived during a pause counts, though the time to conclude has passed', async () => {
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
