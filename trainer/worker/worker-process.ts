/** One job in a worker process of its own: TensorFlow blocks the thread it runs on, and what ends the worker must not end the parent. */
import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { inheritedEnvironment } from '../engine/inherited-environment.ts';
import { WORKER_FLAGS, workerEnvironment } from '../engine/tensorflow/environment.ts';
import type { JobRequest, WorkerEvent } from '../protocol/job-messages.ts';
import { onLines } from './bounded-lines.ts';
import { isOutOfMemory, type MemoryEvidence, watchMemory } from './memory-evidence.ts';
import { proxyEnvironment } from './proxy-environment.ts';
import { STOP_SECONDS, type StopTimes, workerStop } from './stop-worker.ts';
import { readWorkerEvent } from './worker-events.ts';
import { isNoise } from './worker-noise.ts';

export type WorkerEnd = Extract<WorkerEvent, { type: 'result' | 'failed' }>;

export interface WorkerProcessParams {
  readonly request: JobRequest;
  /** Cores that one operation may use; 0 takes all. */
  readonly threads: number;
  /** Where the worker's bundle is not beside this one. */
  readonly workerFile?: string;
  readonly stopTimes?: StopTimes;
  /** Every event but the last, which is in the outcome. */
  onEvent(event: Exclude<WorkerEvent, WorkerEnd>): void;
  /** A line of the worker's own output, without what TensorFlow and Node say at every start. */
  onLine(line: string): void;
}

export interface WorkerOutcome {
  readonly last?: WorkerEnd;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines it wrote. */
  readonly lines: readonly string[];
  /** Undefined where it could not be watched. */
  readonly memory?: MemoryEvidence;
}

export interface WorkerProcess {
  readonly pid: number | undefined;
  /** When the process is gone and everything it said has come; rejects where it could not be started. */
  readonly ended: Promise<WorkerOutcome>;
  /** Ends it after the update in hand, saved. Where it gives no sign of life any more, it is ended as by `abort`. */
  stop(): void;
  /** Ends it without saving: it is asked to leave nothing half written, and killed where it does not end soon. */
  abort(): void;
  kill(): void;
}

/** The bundle beside this one. */
const WORKER_FILE = fileURLToPath(new URL('./worker.js', import.meta.url));
/** Enough to explain a death. */
const KEPT_LINES = 20;
/** A process that the worker started may hold its output open, and is not waited for. */
const OUTPUT_WAIT_MS = 2000;

export function startWorkerProcess(params: WorkerProcessParams): WorkerProcess {
  const { request, threads, workerFile = WORKER_FILE, stopTimes = STOP_SECONDS, onEvent, onLine } = params;
  const inherited = inheritedEnvironment(process.env);
  const child = fork(workerFile, [], {
    // A process group of its own: the terminal's Ctrl-C reaches only the parent, which passes it on as a message.
    detached: true,
    env: { ...proxyEnvironment(process.env), ...inherited.env, ...workerEnvironment({ threads: threads || os.availableParallelism() }) },
    // Not the parent's: a daemon that runs from its sources needs flags that the worker's bundle does not.
    execArgv: [...WORKER_FLAGS],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const stop = workerStop(child, stopTimes);
  const lines = keepLines(child, onLine);
  const memory = child.pid === undefined ? undefined : watchMemory({ pid: child.pid });
  const ended = new Promise<WorkerOutcome>((resolve, reject) => {
    let last: WorkerEnd | undefined;
    child.on('message', message => {
      stop.heard();
      const event = readWorkerEvent(message);
      if (event === undefined) return;
      if (event.type === 'result' || event.type === 'failed') last = event;
      else onEvent(event);
    });
    // Also that a signal or a message could not be sent; then the end of the process follows by itself.
    child.on('error', error => {
      if (child.pid !== undefined) return;
      memory?.stop();
      reject(error);
    });
    child.on('exit', () => {
      stop.ended();
      setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, OUTPUT_WAIT_MS).unref();
    });
    // 'close' and not 'exit': by then every message and line of the worker has come.
    child.on('close', (status, signal) => {
      memory?.stop();
      resolve({ last, status, signal, lines, memory: memory?.evidence() });
    });
  });
  const own: JobRequest = { ...request, context: { ...request.context, clearedVariables: inherited.cleared } };
  // Where it could not be started, 'error' says so.
  child.send(own, () => undefined);
  return { pid: child.pid, ended, stop: stop.save, abort: stop.abort, kill: stop.kill };
}

function keepLines(child: ChildProcess, onLine: (line: string) => void): readonly string[] {
  const kept: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    onLines(stream, line => {
      if (isNoise(line)) return;
      onLine(line);
      kept.push(line);
      if (kept.length > KEPT_LINES) kept.shift();
    });
  }
  return kept;
}

export interface Death {
  readonly code: 'out-of-memory' | 'worker-killed' | 'worker-died';
  readonly message: string;
  readonly hint?: string;
}

/** Why a worker ended that said neither result nor failure. */
export function explainDeath({ status, signal, lines, memory }: WorkerOutcome): Death {
  const hint = 'Take less memory (a smaller per_device_train_batch_size or max_length, recompute: block).';
  const heapFull = lines.some(line => /heap out of memory|std::bad_alloc|RESOURCE_EXHAUSTED/i.test(line));
  if (heapFull) return { code: 'out-of-memory', message: 'the worker ran out of memory', hint };
  if (signal === 'SIGKILL' && memory !== undefined && isOutOfMemory(memory))
    return { code: 'out-of-memory', message: 'the system killed the worker (SIGKILL) because the memory ran out', hint };
  if (signal === 'SIGKILL')
    return { code: 'worker-killed', message: 'the worker was killed (SIGKILL) from outside, or by the system for memory' };
  const how = signal === null ? `with exit status ${status}` : `by ${signal}`;
  const tail = lines.length === 0 ? '' : `; its last words:\n${lines.slice(-5).join('\n')}`;
  return { code: 'worker-died', message: `the worker ended unexpectedly ${how}${tail}` };
}
