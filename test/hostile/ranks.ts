/**
 * Tests runs of 2 and 4 processes under mpiexec, one rank of which is killed at a random moment. All ranks must end within the documented
 * time, with one reason that names a rank, and no process may remain. When resumed, the run must end like an undisturbed one, bit for bit.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installMpi } from '../../trainer/engine/install/install-mpi.ts';
import { locatePjrt } from '../../trainer/engine/install/pjrt-folder.ts';
import type { JobRequest } from '../../trainer/protocol/messages/job-messages.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { startWorker, type WorkerRun } from '../support/daemon/worker.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';
import { trainedState } from './fault-scenarios.ts';
import { attackRun, type KillMoment, SHORT_RUN } from './kills.ts';
import { type Case, type Part, randomOf } from './trial.ts';

/** Number of kills of ranks per engine. */
const WHOLE = 50;
const SAMPLE = 2;
const KILLS_A_RUN = 2;
/** Seed for PJRT, so that its ranks are killed at other moments. */
const PJRT_SEED = 1000;
/** Time limit in ms; starting four processes on a busy machine takes half a minute. */
const HANG_MS = 240_000;
/**
 * Maximum time from the kill to the end of all ranks: docs/how-to/several-processes.md states 32 s at worst, and about a second for a kill.
 */
const END_MS = 32_000;
const POLL_MS = 20;

const SETTINGS = ['dtype=float32', 'threads=1', 'per_device_train_batch_size=1', ...SHORT_RUN];

/**
 * Matches the reason. If a rank is killed before it has identified itself, the launcher's message is used; if its first message was read
 * only after its end, no rank is named.
 */
const REASON =
  /^(?:rank \d+ \(process \d+\) was killed \(SIGKILL\)|a rank was killed \(SIGKILL\) while the ranks started), so all ranks were ended$|^\d+ of \d+ processes started; .*\(signal 9\)/s;

export const ranks: Part = {
  name: 'ranks',
  unit: 'kills of a rank',
  async prepare({ seed, isSample }) {
    await installMpi({ cacheDir, log: () => undefined });
    const task = makeTinyTask();
    const { context } = task;
    const cases: Case[] = [];
    const engines = isSample || locatePjrt(cacheDir) === undefined ? ['tensorflow'] : ['tensorflow', 'pjrt'];
    const sizes = isSample ? [2] : [2, 4];
    for (const [engine, processes] of engines.flatMap(engine => sizes.map(size => [engine, size] as const))) {
      const recipe = task.recipe(...SETTINGS, `engine=${engine}`, `processes=${processes}`);
      const train = (runDir: string): JobRequest => ({ kind: 'train', recipe, runDir, context });
      const reference = join(task.folder, `reference-${engine}-${processes}`);
      const whole = startWorker(train(reference));
      const { last } = await whole.ended;
      if (last?.type !== 'result')
        throw new Error(`the run of ${processes} processes on ${engine} without kills fails: ${JSON.stringify(last)}`);
      const expected = trainedState(reference);
      const share = (isSample ? SAMPLE : WHOLE) / sizes.length;
      for (let start = 0; start < share; start += KILLS_A_RUN) {
        const random = randomOf(seed, processes + (engine === 'pjrt' ? PJRT_SEED : 0), start);
        const kills = Math.min(KILLS_A_RUN, share - start);
        const runDir = join(task.folder, `run-${engine}-${processes}-${start}`);
        const runUntil = (request: JobRequest, kill?: KillMoment): Promise<string> =>
          killRank(request, kill && { ...kill, rank: Math.floor(random() * processes) });
        const params = { runDir, train, context, events: whole.events.length, random, expected, kills, runUntil };
        cases.push({ id: `ranks ${engine} ${processes} ${start}`, count: kills, run: () => attackRun(params) });
      }
    }
    return { cases, dispose: () => rmSync(task.folder, { recursive: true, force: true }) };
  },
};

interface RankKill extends KillMoment {
  readonly rank: number;
}

/** @returns 'killed' if all conditions hold afterwards; see `attackRun` */
async function killRank(request: JobRequest, kill?: RankKill): Promise<string> {
  let heard = 0;
  let killed: Promise<Killed | undefined> | undefined;
  const run = startWorker(request, () => {
    if (kill !== undefined && heard++ === kill.event) killed = killSoon(run, kill);
  });
  const isHung = await Promise.race([run.ended.then(() => false), delay(HANG_MS, true, { ref: false })]);
  const endedMs = performance.now();
  const victims = await killed;
  if (isHung) {
    for (const pid of [run.child.pid ?? 0, ...familyOf(run.child.pid ?? 0)]) process.kill(pid, 'SIGKILL');
    return 'hung';
  }
  const { last } = await run.ended;
  const left = victims?.family.filter(pid => existsSync(`/proc/${pid}`) && !isZombie(pid)) ?? [];
  if (left.length > 0) return `processes ${left.join(', ')} were left behind`;
  if (last?.type === 'result' || (last?.type === 'failed' && last.code === 'nothing-left')) return 'finished';
  if (victims === undefined || last?.type !== 'failed') return `ended with ${JSON.stringify(last)}`;
  const tookMs = endedMs - victims.atMs;
  if (tookMs > END_MS) return `all ranks have ended ${tookMs.toFixed(0)} ms after rank ${kill?.rank} was killed`;
  const isNamed = last.code === 'rank-lost' && REASON.test(last.message) && !last.message.includes('\nrank ');
  const isRight = !last.message.startsWith('rank ') || last.message.startsWith(`rank ${kill?.rank} (process ${victims.pid})`);
  return isNamed && isRight ? 'killed' : `rank ${kill?.rank} (process ${victims.pid}) was killed, and the reason is: ${last.message}`;
}

interface Killed {
  readonly pid: number;
  /** All processes of the run at that moment. */
  readonly family: readonly number[];
  readonly atMs: number;
}

/** Returns undefined if the run ends before the rank exists. */
async function killSoon({ child }: WorkerRun, { rank, delayMs }: RankKill): Promise<Killed | undefined> {
  await delay(delayMs);
  while (child.exitCode === null && child.signalCode === null) {
    const family = familyOf(child.pid ?? 0);
    const pid = family.find(member => environmentOf(member).includes(`PMI_RANK=${rank}`));
    if (pid !== undefined) {
      process.kill(pid, 'SIGKILL');
      return { pid, family, atMs: performance.now() };
    }
    await delay(POLL_MS);
  }
  return undefined;
}

/** Finds the descendants of a process in /proc. */
function familyOf(ancestor: number): number[] {
  const parents = new Map(
    readdirSync('/proc').flatMap(name => {
      const parent = /^\d+$/.test(name) ? parentOf(Number(name)) : undefined;
      return parent === undefined ? [] : [[Number(name), parent] as const];
    }),
  );
  const descends = (pid: number | undefined): boolean => pid !== undefined && (pid === ancestor || descends(parents.get(pid)));
  return [...parents.keys()].filter(pid => pid !== ancestor && descends(pid));
}

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // The process has ended.
    return '';
  }
};

/** Returns the fields after the name (which may contain anything and ends with the last parenthesis): the state and the parent. */
const statusOf = (pid: number): readonly string[] => textOf(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
const parentOf = (pid: number): number | undefined => Number(statusOf(pid)[1]) || undefined;
const isZombie = (pid: number): boolean => statusOf(pid)[0] === 'Z';
const environmentOf = (pid: number): readonly string[] => textOf(`/proc/${pid}/environ`).split('\0');
