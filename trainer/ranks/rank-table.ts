/** Tracks the state of each rank, as the parent of a run sees it, and derives how the run ended. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { isRunning } from '../machine/process-identity.ts';
import { RankFailure, RunError } from '../run-error.ts';
import { isOutOfMemory, type MemoryWatch, watchMemory } from '../worker/memory-evidence.ts';
import type { WorkerEnd } from '../worker/worker-process.ts';
import type { Channel, RankHello } from './rank-channel.ts';

interface Rank {
  readonly pid: number;
  readonly channel: Channel;
  readonly memory: MemoryWatch;
  end?: WorkerEnd;
}

const hello: z.ZodType<RankHello> = z.object({
  rank: z.int().nonnegative(),
  pid: z.int().positive(),
  isLifeline: z.literal(true).optional(),
});

/**
 * Time for all ranks to start: processes of a machine start within a second or so of each other, so one that does not start is detected by
 * this.
 */
const START_MS = 120_000;
/** Wait after the first sign of trouble, in case another rank sends a better reason. */
const GRACE_MS = 500;
/** Wait for the launcher's own message after a rank is gone: the launcher prints it as it ends, within a second on an idle machine. */
const LAUNCHER_MS = 5000;
/** Interval between checks whether a killed process has ended. */
const POLL_MS = 20;

/**
 * Event loop iterations before a conclusion: after a pause of this process, timers run before the messages that arrived meanwhile. One
 * iteration reads the end of a connection, the next ones report it.
 */
const TURNS = 4;

function afterTurns(turns: number, work: () => void): void {
  if (turns === 0) work();
  else setImmediate(() => afterTurns(turns - 1, work));
}

const NAMES_A_RANK = /^rank \d+ /;

/** A rank whose process has ended. */
interface Gone {
  readonly rank: number;
  /** True if it had already ended when its connection was first read, so other ranks seen to end may have ended after it. */
  readonly wasFound: boolean;
}

export class RankTable {
  /** Resolves with rank 0's result when all ranks have ended. @throws RunError that names the rank that failed first */
  readonly outcome: Promise<unknown>;
  /** Last lines of the launcher's output. */
  readonly lines: string[] = [];
  private readonly size: number;
  private readonly ranks = new Map<number, Rank>();
  /** Ranks whose process has ended, in that order. */
  private readonly gone: Gone[] = [];
  private readonly failed: { readonly rank: number; readonly end: Extract<WorkerEnd, { type: 'failed' }> }[] = [];
  private readonly timers: NodeJS.Timeout[] = [];
  private resolve: (value: unknown) => void = () => undefined;
  private reject: (error: unknown) => void = () => undefined;

  constructor(size: number) {
    this.size = size;
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.timers.push(setTimeout(() => this.ranks.size < size && this.fail(this.notStarted()), START_MS));
  }

  /**
   * Handles the first message of a connection.
   * @returns the rank that it introduces; undefined if it is not a rank of this run, or the connection is a lifeline
   */
  greet(message: unknown, channel: Channel): number | undefined {
    const { success, data } = hello.safeParse(message);
    if (success && data.isLifeline) this.watchLife(data.rank, channel);
    else if (success && data.rank < this.size && !this.ranks.has(data.rank)) return this.admit(data, channel);
    else channel.close();
    return undefined;
  }

  private watchLife(rank: number, lifeline: Channel): void {
    let wasFound = true;
    afterTurns(TURNS, () => {
      wasFound = false;
    });
    lifeline.onEnd(() => this.gone.push({ rank, wasFound }));
  }

  private admit(data: RankHello, channel: Channel): number {
    this.ranks.set(data.rank, { pid: data.pid, channel, memory: watchMemory({ pid: data.pid }) });
    return data.rank;
  }

  end(rank: number, end: WorkerEnd): void {
    const known = this.ranks.get(rank);
    if (!known) return;
    known.end = end;
    if (end.type === 'failed') {
      this.failed.push({ rank, end });
      this.concludeIn(end.code === 'rank-lost' && !NAMES_A_RANK.test(end.message) ? LAUNCHER_MS : GRACE_MS);
    } else this.settle();
  }

  leave(rank: number): void {
    const known = this.ranks.get(rank);
    if (known && !known.end) {
      // This may be seen before the end of the lifeline, so it counts.
      this.gone.push({ rank, wasFound: false });
      this.concludeIn(LAUNCHER_MS);
    }
    this.settle();
  }

  launcherEnded(): void {
    // Messages that its processes have sent may still be in transit.
    this.concludeIn(GRACE_MS);
    this.settle();
  }

  tell(message: unknown): void {
    for (const { channel } of this.ranks.values()) channel.send(message);
  }

  /** Kills all ranks. Each process has its own process group, which the end of the launcher does not affect. */
  killAll(): void {
    for (const { pid } of this.ranks.values()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // The process has already ended.
      }
    }
  }

  /** Resolves when the processes have ended, or after this time. */
  async ended(mostMs: number): Promise<void> {
    const untilMs = performance.now() + mostMs;
    while ([...this.ranks.values()].some(isRunning) && performance.now() < untilMs) await delay(POLL_MS);
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    for (const { channel, memory } of this.ranks.values()) {
      memory.stop();
      channel.close();
    }
  }

  private settle(): void {
    const ends = [...this.ranks.values()].map(({ end }) => end);
    const first = this.ranks.get(0)?.end;
    if (ends.length === this.size && first?.type === 'result' && ends.every(end => end?.type === 'result')) this.resolve(first.value);
  }

  private concludeIn(ms: number): void {
    const conclude = (): void => this.fail(this.reason() ?? this.notStarted());
    this.timers.push(setTimeout(() => afterTurns(TURNS, conclude), ms));
  }

  private fail(error: Error): void {
    this.reject(error);
  }

  /**
   * Returns the reason: preferably from a rank that reports why it failed; then from one that ended silently; then from those that noticed
   * a lost rank.
   */
  private reason(): Error | undefined {
    const failure = this.failed.find(({ end }) => end.code !== 'rank-lost');
    if (failure) {
      const { rank, end } = failure;
      return end.code === 'stopped'
        ? new RunError('stopped', end.message)
        : new RankFailure(end.code, rank === 0 ? end.message : `rank ${rank}: ${end.message}`, end.hint);
    }
    const [noticed] = this.failed;
    const error = noticed && new RunError('rank-lost', noticed.end.message, noticed.end.hint);
    // The error names a silent rank if it was found before the launcher killed it; MPI's own messages name none.
    if (error && NAMES_A_RANK.test(error.message)) return error;
    // A rank that never started is the reason why the others ended.
    if (this.ranks.size < this.size) return undefined;
    // The end of a rank's messages may arrive later than the end of its process, and later than that of other ranks.
    const cutOff = this.gone.filter(({ rank }) => this.isCutOff(rank));
    // The launcher lists status 0 for a rank that it has killed itself.
    const own = cutOff.filter(({ rank }) => statusOf(this.lines.join('\n'), rank) !== 0);
    const silent = own.length > 0 ? own : cutOff;
    const lost = silent[0]?.rank;
    const gone = lost === undefined ? undefined : this.ranks.get(lost);
    if (gone === undefined || lost === undefined) return error;
    // The launcher kills the others within milliseconds: it is then unknown which rank ended first, and none is blamed.
    if (new Set(silent.map(({ rank }) => rank)).size > 1 && silent.some(({ wasFound }) => wasFound))
      return new RunError('rank-lost', `a rank ${howEnded(this.lines, lost)} while the ranks started, so all ranks were ended`);
    return this.lossOf(lost, gone);
  }

  /** Returns true if the rank gave no result, or gave one but was killed by a signal before it could exit, which also ends the others. */
  private isCutOff(rank: number): boolean {
    const end = this.ranks.get(rank)?.end;
    const status = statusOf(this.lines.join('\n'), rank) ?? 0;
    return end === undefined || (end.type === 'result' && signalIn(status) !== undefined);
  }

  private lossOf(rank: number, { pid, memory }: Rank): Error {
    const named = `rank ${rank} (process ${pid})`;
    if (isOutOfMemory(memory.evidence()))
      return new RankFailure(
        'out-of-memory',
        `${named} was killed because the system ran out of memory, so all ranks were ended`,
        LESS_MEMORY,
      );
    return new RunError('rank-lost', `${named} ${howEnded(this.lines, rank)}, so all ranks were ended`);
  }

  private notStarted(): RunError {
    const tail = this.lines.length === 0 ? '' : `; the launcher said:\n${this.lines.slice(-5).join('\n')}`;
    return new RunError('rank-lost', `${this.ranks.size} of ${this.size} processes started${tail}`);
  }
}

const LESS_MEMORY = 'Take less: a smaller per_device_train_batch_size or max_length, recompute: block, or fewer processes';

/** Describes the end of a rank from the launcher's output about this rank, or about all ranks. */
export function howEnded(lines: readonly string[], rank: number): string {
  const said = lines.join('\n');
  const signal = signalOf(said, rank);
  return signal === undefined ? 'ended unexpectedly' : signal === 9 ? 'was killed (SIGKILL)' : `was ended by signal ${signal}`;
}

/**
 * Returns a rank's exit status as listed by MPICH's launcher, which is 0 for a rank that the launcher killed itself; undefined if it lists
 * none.
 */
function statusOf(said: string, rank: number): number | undefined {
  const status = /Exit codes: \[[^\]]*\] ([-\d,]+)/.exec(said)?.[1]?.split(',')[rank];
  return status === undefined ? undefined : Number(status);
}

/** Returns the signal in a status of waitpid: its lowest seven bits. */
const signalIn = (status: number): number | undefined => status & 127 || undefined;

function signalOf(said: string, rank: number): number | undefined {
  const status = statusOf(said, rank) ?? 0;
  if (status > 0) return signalIn(status);
  const own = new RegExp(`^rank ${rank} was ended by signal (\\d+)`, 'm').exec(said)?.[1];
  const any = /signal (\d+)|KILLED BY SIGNAL: (\d+)/i.exec(said);
  const found = own ?? any?.[1] ?? any?.[2];
  return found === undefined ? undefined : Number(found);
}
