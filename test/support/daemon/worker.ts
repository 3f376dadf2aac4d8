/** A real worker process, as its parent sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inheritedEnvironment } from '../../../trainer/engine/inherited-environment.ts';
import { WORKER_FLAGS, workerEnvironment } from '../../../trainer/engine/tensorflow/environment.ts';
import type { JobRequest, WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { readWorkerEvent } from '../../../trainer/worker/worker-events.ts';

const WORKER = join(import.meta.dirname, '..', '..', '..', 'dist', 'worker.js');

export interface WorkerRun {
  readonly child: ChildProcess;
  readonly events: readonly WorkerEvent[];
  /** Resolves when the process has ended and all its messages have arrived. */
  readonly ended: Promise<{
    readonly status: number | null;
    readonly signal: NodeJS.Signals | null;
    readonly last: WorkerEvent | undefined;
  }>;
}

export function startWorker(request: JobRequest, onEvent: (event: WorkerEvent, child: ChildProcess) => void = () => undefined): WorkerRun {
  if (!existsSync(WORKER)) throw new Error('dist/worker.js is missing: npm run build');
  const events: WorkerEvent[] = [];
  const child = fork(WORKER, [], {
    execArgv: [...WORKER_FLAGS],
    env: { ...inheritedEnvironment(process.env).env, ...workerEnvironment({ threads: 1 }) },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const ended = new Promise<Awaited<WorkerRun['ended']>>((resolve, reject) => {
    child.on('error', reject);
    child.on('message', message => {
      const event = readWorkerEvent(message);
      if (event === undefined) return reject(new Error(`no event of a worker: ${JSON.stringify(message)}`));
      events.push(event);
      onEvent(event, child);
    });
    const finish = (status: number | null, signal: NodeJS.Signals | null): void => {
      const last = events.at(-1);
      resolve({ status, signal, last: last?.type === 'result' || last?.type === 'failed' ? last : undefined });
    };
    child.on('close', finish);
    // A disconnected child emits no `close` event.
    child.on('exit', (status, signal) => child.connected || finish(status, signal));
  });
  child.send(request);
  return { child, events, ended };
}
