/** Runs one job in a worker process: TensorFlow blocks its thread, and a crash of the worker must not end the command. */

import type { JobResults } from '../handlers/job-results.ts';
import { isTrainingKind, type JobKind, type JobRequest, type WorkerEvent } from '../protocol/messages/job-messages.ts';
import { settleStoppedRun } from '../run/settle-run.ts';
import { explainDeath, startWorkerProcess, type WorkerOutcome, type WorkerProcess } from '../worker/worker-process.ts';
import { checkResult } from './check-result.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { Terminal } from './show/terminal.ts';

export interface RunWorkerParams<Kind extends JobKind = JobKind> {
  readonly request: JobRequest & { readonly kind: Kind };
  readonly terminal: Terminal;
  /** Number of threads per operation; 0 for all cores. */
  readonly threads: number;
  /** Handles events that this command shows itself; returning true suppresses the default. */
  readonly onEvent?: (event: WorkerEvent) => boolean;
  /** The command that resumes the job, if there is one. */
  readonly resumeCommand?: string;
}

/** A training has one after each update, batch, file and weight. */
export const STOPPING = 'stopping at the next safe point and saving';
export const STOPPING_OR_ABORT = `${STOPPING}; press Ctrl-C again to abort`;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Resolves with the value of the job's result. The first Ctrl-C (or SIGTERM, SIGHUP) lets a training save and end, and ends a job that has
 * nothing to save; the second one kills it.
 * @throws CliError with the worker's code, message and hint; with the cause if the worker died; with status 130 if it was aborted
 */
export async function runWorker<Kind extends JobKind>(params: RunWorkerParams<Kind>): Promise<JobResults[Kind]> {
  const { request, terminal, threads, onEvent } = params;
  const worker = startWorkerProcess({
    request,
    threads,
    onEvent: event => {
      if (onEvent?.(event) !== true) show(event, terminal);
    },
    onLine: line => terminal.say('debug', line),
  });
  const interrupts = listenForSignals(worker, params);
  try {
    const outcome = await worker.ended.catch(notStarted);
    if (outcome.last?.type === 'result') return checkResult(request.kind, outcome.last.value);
    // It was killed, so it could not report the folder of its run.
    if (interrupts.asked() && outcome.last === undefined && 'runDir' in request) await settleStoppedRun(request.runDir);
    if (interrupts.aborted()) throw aborted(params);
    if (outcome.last?.type === 'failed') throw failed(outcome.last);
    throw died(outcome, params);
  } finally {
    interrupts.dispose();
    terminal.progress.end();
  }
}

function notStarted(error: Error): never {
  throw new CliError(`the worker could not be started: ${error.message}`, { code: 'worker-start', hint: 'Build it: npm run build' });
}

/** The default display of job events. */
export function show(event: WorkerEvent, terminal: Terminal): void {
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
      if (event.part === 'reasoning') terminal.streamAside(event.chunk);
      else terminal.stream(event.chunk);
      return;
    case 'samples':
    case 'statistics':
    case 'serving':
    case 'result':
    case 'failed':
      return;
  }
}

interface Interrupts {
  /** True if the user requested that the job end. */
  asked(): boolean;
  /** True if the job ends without saving. */
  aborted(): boolean;
  dispose(): void;
}

function listenForSignals(worker: WorkerProcess, { request, terminal }: RunWorkerParams): Interrupts {
  const saves = isTrainingKind(request.kind);
  let count = 0;
  let aborted = false;
  const onSignal = (): void => {
    count++;
    if (saves && count === 1) {
      worker.stop();
      terminal.say('info', STOPPING_OR_ABORT);
      return;
    }
    aborted = true;
    if (count === 1) worker.abort();
    else worker.kill();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    asked: () => count > 0,
    aborted: () => aborted,
    dispose: () => {
      for (const signal of SIGNALS) process.removeListener(signal, onSignal);
    },
  };
}

export function aborted({ resumeCommand }: Pick<RunWorkerParams, 'resumeCommand'>): CliError {
  const hint = resumeCommand === undefined ? undefined : `Resume from the last checkpoint, if there is one: ${resumeCommand}`;
  return new CliError('aborted', { code: 'aborted', exitStatus: EXIT.interrupted, hint });
}

function failed({ code, message, hint }: Extract<WorkerEvent, { type: 'failed' }>): CliError {
  return new CliError(message, { code, hint });
}

function died(outcome: WorkerOutcome, { resumeCommand, terminal }: RunWorkerParams): CliError {
  const { code, message, hint = `See the log: ${terminal.log.path}.` } = explainDeath(outcome);
  const goOn = resumeCommand === undefined ? '' : ` Resume from the last checkpoint, if there is one: ${resumeCommand}`;
  return new CliError(message, { code, hint: `${hint}${goOn}` });
}
