/** Runs one job in a worker process: TensorFlow blocks the thread it runs on, and what ends the worker must not end the command. */
import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { workerEnvironment } from '../engine/tensorflow/environment.ts';
import type { JobRequest, WorkerCommand, WorkerEvent } from '../protocol/job-messages.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { Terminal } from './terminal.ts';
import { isNoise } from './worker-noise.ts';

export interface RunWorkerParams {
  readonly request: JobRequest;
  readonly terminal: Terminal;
  /** Cores that one operation may use; 0 takes all. */
  readonly threads: number;
  /** Events that this command shows in its own way; true keeps them from being shown as usual. */
  readonly onEvent?: (event: WorkerEvent) => boolean;
  /** The command that goes on where this job stopped, where there is one. */
  readonly resumeCommand?: string;
}

/** Beside this bundle. */
const WORKER_FILE = fileURLToPath(new URL('./worker.js', import.meta.url));
const STOPPING = 'stopping after this step and saving; press Ctrl-C again to abort';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** The last lines of a worker that died without a word of its own. */
const KEPT_LINES = 20;

/**
 * Resolves with the value of the job's result. The first Ctrl-C (or SIGTERM, SIGHUP) lets training save and end, the second kills it;
 * a job with nothing to save ends at the first.
 * @throws CliError with the worker's own code, message and hint; with what ended it where it died; with status 130 where it was aborted
 */
export async function runWorker(params: RunWorkerParams): Promise<unknown> {
  const { terminal, threads } = params;
  const child = fork(WORKER_FILE, [], {
    // A process group of its own: the terminal's Ctrl-C reaches only this process, which passes it on as a message.
    detached: true,
    env: { ...process.env, ...workerEnvironment({ threads: threads || os.availableParallelism() }) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const lines = keepOutput(child, terminal);
  const interrupts = listenForSignals(child, params);
  try {
    const outcome = await waitForEnd(child, params);
    if (outcome.last?.type === 'result') return outcome.last.value;
    if (interrupts.aborted()) throw aborted(params);
    if (outcome.last?.type === 'failed') throw failed(outcome.last);
    throw died(outcome, lines, params);
  } finally {
    interrupts.dispose();
    terminal.progress.end();
  }
}

interface Outcome {
  readonly last?: Extract<WorkerEvent, { type: 'result' | 'failed' }>;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

function waitForEnd(child: ChildProcess, { request, terminal, onEvent }: RunWorkerParams): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let last: Outcome['last'];
    child.on('message', message => {
      const event = message as WorkerEvent;
      if (event.type === 'result' || event.type === 'failed') last = event;
      else if (onEvent?.(event) !== true) show(event, terminal);
    });
    child.on('error', error =>
      reject(new CliError(`the worker could not be started: ${error.message}`, { code: 'worker-start', hint: 'Build it: npm run build' })),
    );
    // 'close' and not 'exit': by then every message and line of the worker has come.
    child.on('close', (status, signal) => resolve({ last, status, signal }));
    child.send(request);
  });
}

function show(event: WorkerEvent, terminal: Terminal): void {
  switch (event.type) {
    case 'phase':
      terminal.say('info', event.message);
      return;
    case 'progress':
      terminal.progress.update(event);
      return;
    case 'metrics':
      terminal.progress.metrics(event.values);
      return;
    case 'log':
      terminal.say(event.level, event.message);
      return;
    case 'text':
      terminal.stream(event.chunk);
      return;
    case 'result':
    case 'failed':
      return;
  }
}

/** Both streams of the worker go into the log without the noise; the last lines are returned, to explain a death. */
function keepOutput(child: ChildProcess, terminal: Terminal): string[] {
  const kept: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', line => {
      if (isNoise(line)) return;
      terminal.say('debug', line);
      kept.push(line);
      if (kept.length > KEPT_LINES) kept.shift();
    });
  }
  return kept;
}

function listenForSignals(child: ChildProcess, { request, terminal }: RunWorkerParams): { aborted(): boolean; dispose(): void } {
  const saves = request.kind === 'train' || request.kind === 'resume';
  let count = 0;
  let aborted = false;
  const onSignal = (): void => {
    count++;
    if (saves && count === 1 && child.connected) {
      terminal.say('info', STOPPING);
      child.send({ type: 'stop', save: true } satisfies WorkerCommand);
      return;
    }
    aborted = true;
    child.kill('SIGKILL');
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    aborted: () => aborted,
    dispose: () => {
      for (const signal of SIGNALS) process.removeListener(signal, onSignal);
    },
  };
}

function aborted({ resumeCommand }: RunWorkerParams): CliError {
  const hint = resumeCommand === undefined ? undefined : `Go on from the last checkpoint, where there is one: ${resumeCommand}`;
  return new CliError('aborted', { code: 'aborted', exitStatus: EXIT.interrupted, hint });
}

function failed({ code, message, hint }: Extract<WorkerEvent, { type: 'failed' }>): CliError {
  return new CliError(message, { code, hint });
}

function died({ status, signal }: Outcome, lines: readonly string[], { resumeCommand, terminal }: RunWorkerParams): CliError {
  const goOn = resumeCommand === undefined ? '' : ` Go on from the last checkpoint, where there is one: ${resumeCommand}`;
  const less = `Take less memory (a smaller per_device_train_batch_size or max_length, recompute: block).${goOn}`;
  const heapFull = lines.some(line => /heap out of memory|std::bad_alloc|RESOURCE_EXHAUSTED/i.test(line));
  if (heapFull) return new CliError('the worker ran out of memory', { code: 'out-of-memory', hint: less });
  if (signal === 'SIGKILL')
    return new CliError('the system killed the worker (SIGKILL), most likely because the memory ran out', {
      code: 'out-of-memory',
      hint: less,
    });
  const how = signal === null ? `with exit status ${status}` : `by ${signal}`;
  const tail = lines.length === 0 ? '' : `; its last words:\n${lines.slice(-5).join('\n')}`;
  return new CliError(`the worker ended unexpectedly ${how}${tail}`, {
    code: 'worker-died',
    hint: `The log is ${terminal.log.path}.${goOn}`,
  });
}
