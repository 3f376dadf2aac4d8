/** Controls job-process.ts: sends it jobs, notices when it dies or hangs, and restarts it. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { type FaultyJob, isJobOutcome, type JobOutcome } from './faulty-job.ts';

/** Time limit in ms: a tiny job takes a second or two, and ten times as long on a busy machine. */
const HANG_MS = 120_000;

/** Number of jobs per process. Then a fresh one replaces it, so that what an engine keeps from each job does not add up. */
const MAX_JOBS = 40;

export type Ended =
  | { readonly kind: 'done'; readonly outcome: JobOutcome }
  | { readonly kind: 'died'; readonly how: string }
  | { readonly kind: 'hung' };

export class JobRunner {
  private readonly bundles: string;
  private child: ChildProcess | undefined;
  /** Number of jobs that the process has run. */
  private done = 0;

  constructor(bundles: string) {
    this.bundles = bundles;
  }

  run(job: FaultyJob, hangMs = HANG_MS): Promise<Ended> {
    if (this.done++ >= MAX_JOBS) this.dispose();
    const child = this.child ?? this.start();
    return new Promise(resolve => {
      const finish = (ended: Ended): void => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (ended.kind !== 'done') {
          this.child = undefined;
          child.kill('SIGKILL');
        }
        resolve(ended);
      };
      const timer = setTimeout(() => finish({ kind: 'hung' }), hangMs);
      child.once('message', outcome => {
        if (isJobOutcome(outcome)) finish({ kind: 'done', outcome });
        else finish({ kind: 'died', how: `it answered ${JSON.stringify(outcome)}` });
      });
      child.once('exit', (status, signal) => finish({ kind: 'died', how: signal ?? `status ${status}` }));
      child.send(job);
    });
  }

  private start(): ChildProcess {
    this.done = 1;
    this.child = fork(join(this.bundles, 'job-process.mjs'), [], {
      execArgv: ['--require', join(this.bundles, 'fault-preload.cjs')],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    return this.child;
  }

  dispose(): void {
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }
}
