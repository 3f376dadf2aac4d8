/** Runs one job in its own worker process: TensorFlow blocks its thread, and a crash of the worker must not end the parent. */
import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { inheritedEnvironment } from '../engine/inherited-environment.ts';
import { isLauncherVariable } from '../engine/mpi/world.ts';
import { WORKER_FLAGS, workerEnvironment } from '../engine/tensorflow/environment.ts';
import { onLines } from '../machine/bounded-lines.ts';
import { startProcess } from '../machine/start-process.ts';
import { type JobKind, type JobRequest, keptSeconds, type WorkerEvent } from '../protocol/messages/job-messages.ts';
import { memoryHint } from '../protocol/messages/memory-hint.ts';
import { isOutOfMemory, type MemoryEvidence, watchMemory } from './memory-evidence.ts';
import { proxyEnvironment } from './proxy-environment.ts';
import { STOP_SECONDS, type StopTimes, type WorkerStop, workerStop } from './stop-worker.ts';
import { readWorkerEvent } from './worker-events.ts';
import { isNoise } from './worker-noise.ts';

export type WorkerEnd = Extract<WorkerEvent, { type: 'result' | 'failed' }>;

/** A job for a process, with the receivers of its events and lines. */
export interface WorkerJob {
  readonly request: JobRequest;
  /** Receives every event except the last, which is in the outcome. */
  onEvent(event: Exclude<WorkerEvent, WorkerEnd>): void;
  /** Receives a line of the worker's own output, without the usual messages of TensorFlow and Node. */
  onLine(line: string): void;
}

export interface WorkerProcessParams extends WorkerJob {
  /** Threads per operation; 0 for all cores. */
  readonly threads: number;
  /** GPUs that the job may use, in the syntax of CUDA_VISIBLE_DEVICES; by default, all that are visible to this process. */
  readonly gpus?: readonly string[] | undefined;
  /** Path of the worker's bundle, if it is not next to this one. */
  readonly workerFile?: string;
  readonly stopTimes?: StopTimes;
}

export interface WorkerOutcome {
  readonly kind?: JobKind;
  readonly last?: WorkerEnd;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Last lines of the worker's output. */
  readonly lines: readonly string[];
  /** Evidence about memory; undefined if it could not be watched. */
  readonly memory?: MemoryEvidence;
  /** The process, if it waits for another job. */
  readonly kept?: KeptWorker;
}

/** A process that waits for another job like its last one, with the model still loaded. */
export interface KeptWorker {
  readonly pid: number | undefined;
  /** False once the process has ended. */
  readonly isAlive: boolean;
  /** Gives the process another job. */
  again(job: WorkerJob): WorkerProcess;
  kill(): void;
}

export interface WorkerProcess {
  readonly pid: number | undefined;
  /**
   * Resolves when the process has ended and all its output has arrived, or with the result of a job whose process is kept; rejects if the
   * process could not be started.
   */
  readonly ended: Promise<WorkerOutcome>;
  /** Ends the job after the current update, with a save. If the worker stops responding, it is ended as by `abort`. */
  stop(): void;
  /** Ends the job without saving: requests it to leave nothing half-written, and kills it if it does not end soon. */
  abort(): void;
  kill(): void;
}

/** The worker's bundle, next to this one. */
const WORKER_FILE = fileURLToPath(new URL('./worker.js', import.meta.url));
/** Number of output lines kept: enough to explain a crash. */
const KEPT_LINES = 20;
/** Time to wait for output after the process ends. A child process of the worker may keep its output open, and is not awaited. */
const OUTPUT_WAIT_MS = 2000;

/** One job of a process. */
interface Assignment extends WorkerJob {
  readonly stop: WorkerStop;
  readonly lines: string[];
  last?: WorkerEnd;
  resolve(outcome: WorkerOutcome): void;
}

export function startWorkerProcess(params: WorkerProcessParams): WorkerProcess {
  const { request, threads, gpus, workerFile = WORKER_FILE, stopTimes = STOP_SECONDS } = params;
  const inherited = inheritedEnvironment(process.env);
  const launched = request.context.rank === undefined ? { env: {}, files: [] } : launcherConnection(process.env);
  const started = startProcess(() =>
    fork(workerFile, [], {
      // A separate process group: the terminal's Ctrl-C reaches only the parent, which forwards it as a message.
      detached: true,
      env: {
        ...proxyEnvironment(process.env),
        ...inherited.env,
        ...launched.env,
        ...workerEnvironment({ threads: threads || os.availableParallelism() }),
        ...(gpus && { CUDA_VISIBLE_DEVICES: gpus.join(',') }),
      },
      // Not the parent's flags: a daemon that runs from source needs some that the worker's bundle does not.
      execArgv: [...WORKER_FLAGS],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc', ...launched.files],
    }),
  );
  if ('failure' in started) return notStarted(started.failure);
  const { child } = started;
  const { pid } = child;
  const memory = pid === undefined ? undefined : watchMemory({ pid });
  /** The current job; undefined while a kept process waits. */
  let current: Assignment | undefined;
  let isAlive = true;
  eachLine(child, line => {
    if (current === undefined) return;
    current.onLine(line);
    current.lines.push(line);
    if (current.lines.length > KEPT_LINES) current.lines.shift();
  });
  child.on('message', message => {
    if (current === undefined) return;
    current.stop.eventArrived();
    const event = readWorkerEvent(message);
    if (event === undefined) return;
    if (event.type !== 'result' && event.type !== 'failed') return current.onEvent(event);
    current.last = event;
    if (event.type === 'result' && keptSeconds(current.request) > 0) keep(current);
  });
  // Emitted for signals or messages that could not be sent; the end of the process then follows by itself.
  child.on('error', () => undefined);
  child.on('exit', () => {
    isAlive = false;
    current?.stop.processEnded();
    setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, OUTPUT_WAIT_MS).unref();
  });
  // 'close' instead of 'exit': by then, all messages and lines of the worker have arrived.
  child.on('close', (status, signal) => {
    memory?.stop();
    current?.resolve({ kind: current.request.kind, last: current.last, status, signal, lines: current.lines, memory: memory?.evidence() });
  });
  const assign = (given: WorkerJob): WorkerProcess => {
    const stop = workerStop(child, stopTimes);
    const ended = new Promise<WorkerOutcome>(resolve => {
      current = { ...given, stop, lines: [], resolve };
    });
    const own: JobRequest = { ...given.request, context: { ...given.request.context, clearedVariables: inherited.cleared } };
    // If a kept process ends at this moment, 'close' follows.
    child.send(own, () => undefined);
    return { pid, ended, stop: stop.save, abort: stop.abort, kill: stop.kill };
  };
  function keep({ stop, last, lines, resolve }: Assignment): void {
    current = undefined;
    stop.jobEnded();
    const kept: KeptWorker = {
      pid,
      get isAlive() {
        return isAlive;
      },
      again: assign,
      kill: stop.kill,
    };
    resolve({ last, status: null, signal: null, lines, kept });
  }
  return assign(params);
}

function notStarted(failure: Promise<Error>): WorkerProcess {
  const nothing = (): void => undefined;
  const ended = failure.then(error => {
    throw error;
  });
  return { pid: undefined, ended, stop: nothing, abort: nothing, kill: nothing };
}

/** Node's own four: input, output, errors, messages. */
const OWN_FILES = 4;

/** Returns what a worker needs to reach the launcher that started its parent: variables, and the open file that one of them names. */
function launcherConnection(environment: NodeJS.ProcessEnv): {
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly number[];
} {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value !== undefined && isLauncherVariable(name)) env[name] = value;
  const file = Number(env.PMI_FD);
  if (env.PMI_FD === undefined || !Number.isInteger(file)) return { env, files: [] };
  return { env: { ...env, PMI_FD: String(OWN_FILES) }, files: [file] };
}

function eachLine(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr])
    if (stream !== null)
      onLines(stream, line => {
        if (!isNoise(line)) onLine(line);
      });
}

export interface Death {
  readonly code: 'out-of-memory' | 'worker-killed' | 'worker-died';
  readonly message: string;
  readonly hint?: string;
}

/** Returns the reason why a worker ended without a result or a failure. */
export function explainDeath({ kind, status, signal, lines, memory }: WorkerOutcome): Death {
  const hint = `${memoryHint(kind)}.`;
  const heapFull = lines.some(line => /heap out of memory|std::bad_alloc|RESOURCE_EXHAUSTED/i.test(line));
  if (heapFull) return { code: 'out-of-memory', message: 'the worker ran out of memory', hint };
  if (signal === 'SIGKILL' && memory !== undefined && isOutOfMemory(memory))
    return { code: 'out-of-memory', message: 'the system killed the worker (SIGKILL) because it ran out of memory', hint };
  if (signal === 'SIGKILL')
    return { code: 'worker-killed', message: 'the worker was killed (SIGKILL), possibly because the system ran out of memory' };
  const how = signal === null ? `with exit status ${status}` : `by ${signal}`;
  const tail = lines.length === 0 ? '' : `; its last output:\n${lines.slice(-5).join('\n')}`;
  return { code: 'worker-died', message: `the worker ended unexpectedly ${how}${tail}` };
}
