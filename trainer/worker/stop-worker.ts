/** Ends a worker: by a request, then by SIGTERM, then by SIGKILL, so that a stuck worker blocks nobody. */
import type { ChildProcess } from 'node:child_process';
import type { WorkerCommand } from '../protocol/messages/job-messages.ts';

/** Times in seconds. docs/reference/daemon.md lists these numbers. */
export interface StopTimes {
  /**
   * Training that is stopping finishes its update and saves. That may take minutes, but it reports progress; without any event for this
   * long, it is ended without saving.
   */
  readonly silence: number;
  /** Maximum time for finishing and saving. */
  readonly save: number;
  /** Time from the request to end without saving to SIGTERM. */
  readonly ask: number;
  /** Time from SIGTERM to SIGKILL: a compiled step can't be interrupted. */
  readonly terminate: number;
}

export const STOP_SECONDS: StopTimes = { silence: 600, save: 3600, ask: 4, terminate: 2 };

export interface WorkerStop {
  /** Requests the worker to save and end. */
  save(): void;
  /** Requests the worker to end without saving. */
  abort(): void;
  kill(): void;
  /** Call when an event has arrived. */
  eventArrived(): void;
  /** Call when the job has ended and its process waits for another one. */
  jobEnded(): void;
  /** Call when the process has ended: its own child processes are then ended too. */
  processEnded(): void;
}

/** Returns the stop functions of a worker. @param child in its own process group */
export function workerStop(child: ChildProcess, times: StopTimes): WorkerStop {
  const timers = new Set<NodeJS.Timeout>();
  let silence: NodeJS.Timeout | undefined;
  let isAborting = false;
  const after = (seconds: number, act: () => void): NodeJS.Timeout => {
    const timer = setTimeout(act, seconds * 1000).unref();
    timers.add(timer);
    return timer;
  };
  const ask = (save: boolean): boolean => child.connected && child.send({ type: 'stop', save } satisfies WorkerCommand, () => undefined);
  const kill = (): void => {
    if (!signalGroup(child, 'SIGKILL')) child.kill('SIGKILL');
  };
  const terminate = (): void => {
    child.kill('SIGTERM');
    after(times.terminate, kill);
  };
  const abort = (): void => {
    if (isAborting) return;
    isAborting = true;
    clearTimeout(silence);
    if (ask(false)) after(times.ask, terminate);
    else terminate();
  };
  const jobEnded = (): void => {
    for (const timer of timers) clearTimeout(timer);
  };
  return {
    save: () => {
      if (isAborting || silence !== undefined) return;
      if (!ask(true)) return abort();
      silence = after(times.silence, abort);
      after(times.save, abort);
    },
    abort,
    kill,
    eventArrived: () => {
      if (!isAborting) silence?.refresh();
    },
    jobEnded,
    processEnded: () => {
      jobEnded();
      signalGroup(child, 'SIGKILL');
    },
  };
}

/** Sends a signal to the whole process group. @returns false if the group does not exist */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): boolean {
  if (pid === undefined || process.platform === 'win32') return false;
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
