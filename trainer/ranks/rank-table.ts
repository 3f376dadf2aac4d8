/** The state of each rank as the parent of a run knows it, and from that, how the run ended. */
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

/** All processes of a machine start within a second or so of each other; one that does not start is found out by this. */
const START_MS = 120_000;
/** After the first sign of trouble, for a better reason from another rank. */
const GRACE_MS = 500;
/** For the launcher's own words, when a rank is gone: it says them as it ends, within a second on a machine that is not busy. */
const LAUNCHER_MS = 5000;
/** Between looks whether a killed process has ended. */
const LOOK_MS = 20;

/**
 * Turns of the event loop before a conclusion: after a pause of this process, timers run before the messages that have arrived meanwhile. One
 * turn reads the end of a connection, the next ones report it.
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
  /** It had ended when its connection was first read, so others that were seen to end may have ended after it. */
  readonly wasFound: boolean;
}

export class RankTable {
  /** Resolves with the result of rank 0 when all ranks have ended. @throws RunError that names the rank that failed first */
  readonly outcome: Promise<unknown>;
  /** The last lines of the launcher. */
  readonly lines: string[] = [];
  private readonly size: number;
  private readonly ranks = new Map<number, Rank>();
  /** Ranks whose process has ended, the first one first. */
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

  /** @returns the rank that introduces itself; undefined if it is none of ours, or has other connections for its messages */
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
      // Where it is seen before that of the lifeline, it counts.
      this.gone.push({ rank, wasFound: false });
      this.concludeIn(LAUNCHER_MS);
    }
    this.settle();
  }

  launcherEnded(): void {
    // What its processes have sent may still be on its way.
    this.concludeIn(GRACE_MS);
    this.settle();
  }

  tell(message: unknown): void {
    for (const { channel } of this.ranks.values()) channel.send(message);
  }

  /** Each process has a group of its own, which the end of the launcher does not end. */
  killAll(): void {
    for (const { pid } of this.ranks.values()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  }

  /** Resolves when the processes have ended, or after so long. */
  async ended(mostMs: number): Promise<void> {
    const untilMs = performance.now() + mostMs;
    while ([...this.ranks.values()].some(isRunning) && performance.now() < untilMs) await delay(LOOK_MS);
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

  /** A rank that says why it failed is right; then one that went silently; then those that noticed that another is gone. */
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
    // Who is silent was seen before the launcher ended it; MPI's own words name nobody.
    if (error && NAMES_A_RANK.test(error.message)) return error;
    // One that never came is the reason for the end of those that did.
    if (this.ranks.size < this.size) return undefined;
    // The end of a rank's messages may come later than that of its process, and than that of other ranks.
    const cutOff = this.gone.filter(({ rank }) => this.isCutOff(rank));
    // The launcher lists 0 for a rank that it has ended itself.
    const own = cutOff.filter(({ rank }) => statusOf(this.lines.join('\n'), rank) !== 0);
    const silent = own.length > 0 ? own : cutOff;
    const lost = silent[0]?.rank;
    const gone = lost === undefined ? undefined : this.ranks.get(lost);
    if (gone === undefined || lost === undefined) return error;
    // The launcher ends the others within milliseconds: which of them was the first is then unknown, and none is blamed.
    if (new Set(silent.map(({ rank }) => rank)).size > 1 && silent.some(({ wasFound }) => wasFound))
      return new RunError('rank-lost', `a rank ${howEnded(this.lines, lost)} while the ranks started, so all ranks were ended`);
    return this.lossOf(lost, gone);
  }

  /** It gave no result; or it did, and was ended by a signal before it could leave, which ends the others too. */
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

/** The end of a rank in the words of its launcher: those about this rank, or those about all. */
export function howEnded(lines: readonly string[], rank: number): string {
  const said = lines.join('\n');
  const signal = signalOf(said, rank);
  return signal === undefined ? 'ended unexpectedly' : signal === 9 ? 'was killed (SIGKILL)' : `was ended by signal ${signal}`;
}

/** The end of a rank as MPICH's launcher lists it, which has 0 for one that it has ended itself; undefined if it says nothing. */
function statusOf(said: string, rank: number): number | undefined {
  const status = /Exit codes: \[[^\]]*\] ([-\d,]+)/.exec(said)?.[1]?.split(',')[rank];
  return status === undefined ? undefined : Number(status);
}

/** A status is as waitpid gives it: the signal is in the lowest seven bits. */
const signalIn = (status: number): number | undefined => status & 127 || undefined;

function signalOf(said: string, rank: number): number | undefined {
  const status = statusOf(said, rank) ?? 0;
  if (status > 0) return signalIn(status);
  const own = new RegExp(`^rank ${rank} was ended by signal (\\d+)`, 'm').exec(said)?.[1];
  const any = /signal (\d+)|KILLED BY SIGNAL: (\d+)/i.exec(said);
  const found = own ?? any?.[1] ?? any?.[2];
  return found === undefined ? undefined : Number(found);
}
