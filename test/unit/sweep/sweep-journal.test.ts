/** Tests the journal of several workers: decisions as in the paper, one winner per entry, repeated decisions, and lost workers. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { createRandom } from '../../../trainer/random.ts';
import { JournalFolder } from '../../../trainer/sweep/journal-folder.ts';
import { sharedStatus } from '../../../trainer/sweep/shared-status.ts';
import { type JournalEntry, parseEntry, SweepJournal } from '../../../trainer/sweep/sweep-journal.ts';
import { type SweepPlan, scheduleOf } from '../../../trainer/sweep/sweep-plan.ts';
import { SweepSchedule } from '../../../trainer/sweep/sweep-schedule.ts';
import { SignWatch, writeSign } from '../../../trainer/sweep/worker-signs.ts';
import { sweepPlan } from './sweep-plan-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-journal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let sweepDir = '';
beforeEach(() => {
  sweepDir = mkdtempSync(join(folder, 'sweep-'));
});

const planOf = (runs: number): SweepPlan => ({
  ...sweepPlan,
  mode: 'min',
  workers: { lostAfterSeconds: 60 },
  runs: Array.from({ length: runs }, (_, i) => ({ id: `r${i}`, settings: {}, fixed: [] })),
});

const WHOLE = 9;
const resultOf = (worker: string, { index, run, until }: Extract<JournalEntry, { kind: 'start' }>): JournalEntry => {
  const evaluations = until === 'end' ? WHOLE : Math.min(until, WHOLE);
  const value = createRandom(run, 3).uniform() + 1 / evaluations;
  return { kind: 'result', worker, index, value, ended: evaluations === WHOLE, evaluations, step: evaluations, totalSteps: WHOLE };
};

/** Works like `sweep-worker.ts`, without training. @returns the number of segments that it took */
async function work(name: string, plan: SweepPlan, pause: () => Promise<void>): Promise<number> {
  const shared = await JournalFolder.open(sweepDir, plan);
  for (let taken = 0; ; ) {
    await shared.read();
    const proposal = shared.journal.propose(name);
    if (proposal.kind === 'done') return taken;
    await pause();
    if (proposal.kind !== 'start' || !(await shared.add(proposal.entry))) continue;
    taken++;
    await pause();
    const told = resultOf(name, proposal.entry);
    while (!(await shared.add(told))) await shared.read();
  }
}

const entries = (): JournalEntry[] =>
  readdirSync(join(sweepDir, 'journal'))
    .sort()
    .map(name => parseEntry(JSON.parse(readFileSync(join(sweepDir, 'journal', name), 'utf8'))));

const startsOf = (all: readonly JournalEntry[]) => all.flatMap(entry => (entry.kind === 'start' ? [`${entry.run}:${entry.until}`] : []));

describe('workers that share a folder', () => {
  test('each part is trained once, whoever is faster, and nothing else is left in the journal', async () => {
    const plan = planOf(30);
    const random = createRandom(4);
    const pause = async (): Promise<void> => {
      for (let turns = random.below(6); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve));
    };
    const taken = await Promise.all(Array.from({ length: 6 }, (_, i) => work(`w${i}`, plan, pause)));
    const all = entries();
    expect(taken.reduce((sum, count) => sum + count, 0)).toBe(startsOf(all).length);
    expect(new Set(startsOf(all)).size).toBe(startsOf(all).length);
    expect(Math.min(...taken)).toBeGreaterThan(0);
    expect(all.filter(({ kind }) => kind === 'result')).toHaveLength(startsOf(all).length);
    // The best run among those compared at the top is trained to its end.
    const { best, state } = await sharedStatus(sweepDir, plan, (await JournalFolder.open(sweepDir, plan)).journal);
    expect([best === undefined, state]).toEqual([false, 'finished']);
  });

  test('every decision follows from the entries before it, so a journal that is continued anywhere decides the same', async () => {
    const plan = planOf(20);
    await Promise.all(['a', 'b', 'c'].map(name => work(name, plan, () => new Promise(resolve => setImmediate(resolve)))));
    const journal = new SweepJournal(scheduleOf(plan));
    for (const entry of entries()) {
      if (entry.kind === 'start') expect(journal.propose(entry.worker)).toEqual({ kind: 'start', entry });
      journal.apply(entry);
    }
    expect(journal.propose('late').kind).toBe('done');
  });

  test('one worker decides as one process does', async () => {
    const plan = { ...planOf(15), parallel: 1 };
    await work('alone', plan, async () => undefined);
    const schedule = new SweepSchedule(scheduleOf(plan));
    const results = entries().filter(entry => entry.kind === 'result');
    for (;;) {
      const decision = schedule.next(index => results.find(entry => entry.index === index));
      if (decision.kind !== 'start') break;
    }
    expect(startsOf(entries())).toEqual(schedule.issued.map(({ run, until }) => `${run}:${until}`));
  });
});

describe('a part that has lost its worker', () => {
  const plan = planOf(2);
  const begin = (worker: string, index = 0, run = 0): JournalEntry => ({ kind: 'start', worker, index, run, until: 1, by: 0 });
  const lost = (worker: string): JournalEntry => ({ kind: 'free', worker, index: 0, problem: `${worker} was lost` });

  test('is taken next, and a late report of the lost worker is refused', () => {
    const journal = new SweepJournal(scheduleOf(plan));
    journal.apply(begin('a'));
    expect(journal.propose('b')).toEqual({ kind: 'start', entry: begin('b', 1, 1) });
    journal.apply(lost('a'));
    expect(journal.propose('b')).toEqual({ kind: 'start', entry: begin('b') });
    journal.apply(begin('b'));
    expect(() => journal.apply({ kind: 'result', worker: 'a', index: 0, ended: false, evaluations: 1, step: 1, totalSteps: 9 })).toThrow(
      'part 0 belongs to b, not to a',
    );
  });

  test('ends the sweep when three workers had problems with it, until the sweep is continued', () => {
    const journal = new SweepJournal(scheduleOf(plan));
    for (const worker of ['a', 'b', 'c']) {
      journal.apply(begin(worker));
      journal.apply(lost(worker));
    }
    expect(journal.propose('d')).toEqual({ kind: 'failed', run: 0, problem: 'c was lost' });
    journal.apply({ kind: 'restart', worker: 'submit' });
    expect(journal.propose('d')).toEqual({ kind: 'start', entry: begin('d') });
  });

  test('a worker that stops normally causes no problem', () => {
    const journal = new SweepJournal(scheduleOf(plan));
    for (let i = 0; i < 5; i++) {
      journal.apply(begin('a'));
      journal.apply({ kind: 'free', worker: 'a', index: 0 });
    }
    expect(journal.propose('a').kind).toBe('start');
  });

  test("is noticed by a sign that no longer changes, by the observer's clock", () => {
    const watch = new SignWatch(1000);
    const sign = (beat: number, ended = false) => ({ beat, node: 'n1', ended });
    expect(watch.isLost('a', sign(1), 0)).toBe(false);
    expect(watch.isLost('a', sign(1), 999)).toBe(false);
    expect(watch.isLost('a', sign(2), 1500)).toBe(false);
    expect(watch.isLost('a', sign(2), 2499)).toBe(false);
    expect(watch.isLost('a', sign(2), 2500)).toBe(true);
    expect(watch.isLost('b', undefined, 0)).toBe(false);
    expect(watch.isLost('b', undefined, 1000)).toBe(true);
    expect(watch.isLost('c', sign(1, true), 0)).toBe(true);
  });
});

test('a journal whose decisions do not follow is damaged', async () => {
  const plan = planOf(3);
  const shared = await JournalFolder.open(sweepDir, plan);
  expect(await shared.add({ kind: 'start', worker: 'a', index: 0, run: 0, until: 1, by: 0 })).toBe(true);
  writeFileSync(join(sweepDir, 'journal', '0000001.json'), '{"kind":"start","worker":"b","index":1,"run":2,"until":1,"by":0}');
  await expect(shared.read()).rejects.toMatchObject({ code: 'bad-sweep', message: expect.stringContaining('0000001.json is damaged') });
  writeFileSync(join(sweepDir, 'journal', '0000001.json'), '{"kind":"st');
  await expect(JournalFolder.open(sweepDir, plan)).rejects.toMatchObject({ code: 'bad-sweep' });
});

test('the table shows who trains a run, and on which machine', async () => {
  const plan = planOf(3);
  const shared = await JournalFolder.open(sweepDir, plan);
  const first = { kind: 'start', worker: 'a', index: 0, run: 0, until: 1, by: 0 } as const;
  await shared.add(first);
  await shared.add(resultOf('a', first));
  await shared.add({ kind: 'start', worker: 'b', index: 1, run: 1, until: 1, by: 1 });
  await writeSign(sweepDir, 'a', { beat: 9, node: 'n1', log: '/w/a.txt', ended: true });
  await writeSign(sweepDir, 'b', { beat: 2, node: 'n2', ended: false });
  const status = await sharedStatus(sweepDir, plan, shared.journal);
  expect(status.state).toBe('running');
  expect(status.runs.map(({ id, state, node, log }) => [id, state, node, log])).toEqual([
    ['r0', 'paused', 'n1', '/w/a.txt'],
    ['r1', 'running', 'n2', undefined],
    ['r2', 'waiting', undefined, undefined],
  ]);
});

test('the table shows the problem of a part until another worker has taken it', async () => {
  const plan = planOf(2);
  const shared = await JournalFolder.open(sweepDir, plan);
  const begun = (worker: string) => ({ kind: 'start', worker, index: 0, run: 0, until: 1, by: 0 }) as const;
  const problem = async (): Promise<string | undefined> => {
    const { runs } = await sharedStatus(sweepDir, plan, shared.journal);
    return runs.find(({ id }) => id === 'r0')?.failure;
  };
  await shared.add(begun('a'));
  await shared.add({ kind: 'free', worker: 'a', index: 0, problem: 'a was lost' });
  expect(await problem()).toBe('a was lost');
  await shared.add(begun('b'));
  expect(await problem()).toBeUndefined();
  await shared.add(resultOf('b', begun('b')));
  expect(await problem()).toBeUndefined();
});
