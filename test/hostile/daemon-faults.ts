/** Makes every operation of a daemon on its state folder fail once: no acknowledged job may be lost, and the next daemon must start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import { connectDaemon, type DaemonClient } from '../../trainer/rpc/connection/connect.ts';
import { FAULT_MODES, type FaultMode, type FaultOperation, type FaultPlan } from './fault-plan.ts';
import { reportedOperations } from './fault-report.ts';
import { type Case, failed, OK, type Part, sampleOf, type TrialSettings, type Verdict } from './trial.ts';

const SAMPLE = 5;
const JOBS = 3;
const DEADLINE_MS = 60_000;
/** A worker whose jobs do nothing. */
const IDLE_WORKER = "process.on('message', () => process.send({ type: 'result', value: {} }, () => process.exit(0)));\n";

export const daemonFaults: Part = {
  name: 'daemon',
  unit: 'faults injected into the daemon',
  async prepare(settings) {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'rowtune-daemon-')));
    const worker = join(folder, 'worker.mjs');
    writeFileSync(worker, IDLE_WORKER);
    const context = { settings, folder, worker };
    const reference = await live(context, 'reference');
    if (reference.acknowledged.length !== JOBS) throw new Error(`the daemon fails without a fault: ${reference.said}`);
    const all = reference.operations.flatMap(operation => FAULT_MODES[operation.kind].map(mode => ({ operation, mode })));
    const cases = (settings.isSample ? sampleOf(all, SAMPLE, settings.seed) : all).map(
      ({ operation, mode }): Case => ({
        id: `daemon ${operation.index} ${mode}`,
        count: 1,
        run: () => attack(context, operation, mode),
      }),
    );
    return { cases, dispose: () => rmSync(folder, { recursive: true, force: true }) };
  },
};

interface Context {
  readonly settings: TrialSettings;
  readonly folder: string;
  readonly worker: string;
}

async function attack(context: Context, { index }: FaultOperation, mode: FaultMode): Promise<Verdict> {
  const name = `${index}-${mode}`;
  const life = await live(context, name, { at: index, mode });
  const [hit] = life.operations;
  const where = `${mode} of ${hit ? `${hit.call} ${hit.path.slice(context.folder.length + 1)}` : `operation ${index} (not reached)`}: `;
  if (life.isHung) return failed('hung', `${where}the daemon does not end`);
  const isKill = mode.startsWith('kill') && life.how === 'SIGKILL';
  if (!isKill && !['status 0', 'status 1'].includes(life.how)) return failed('crashed', `${where}${life.how}: ${life.said}`);
  // The next daemon has all jobs and runs the waiting ones.
  const next = await live(context, name, undefined, life.acknowledged);
  if (next.how !== 'status 0') return failed('lost', `${where}the next daemon ends with ${next.how}: ${next.said}`);
  const known = new Map(next.jobs.map(job => [job.id, job]));
  const lost = life.acknowledged.filter(id => !known.has(id));
  if (lost.length > 0) return failed('lost', `${where}jobs ${lost.join(', ')} were acknowledged and are gone`);
  const open = next.jobs.filter(({ state }) => ['queued', 'running', 'stopping'].includes(state));
  if (open.length > 0) return failed('hung', `${where}jobs ${open.map(({ id }) => id).join(', ')} never end`);
  rmSync(join(context.folder, name), { recursive: true });
  return OK;
}

interface Life {
  readonly how: string;
  readonly isHung: boolean;
  readonly said: string;
  readonly acknowledged: readonly string[];
  readonly jobs: readonly JobRecord[];
  readonly operations: readonly FaultOperation[];
}

/** Starts a daemon, runs some jobs, and shuts it down in order. @param waitFor jobs of an earlier daemon, instead of new ones */
async function live(
  { settings, folder, worker }: Context,
  name: string,
  fault?: Pick<FaultPlan, 'at' | 'mode'>,
  waitFor?: readonly string[],
): Promise<Life> {
  const stateDir = join(folder, name);
  mkdirSync(stateDir, { recursive: true });
  const report = join(folder, `${name}.report`);
  rmSync(report, { force: true });
  const plan: FaultPlan = { folders: [stateDir], report, ...fault };
  const isWatched = waitFor === undefined;
  const dist = join(settings.root, 'dist');
  const options = { stateDir, cacheDir: folder, workerFile: worker, readerFile: join(dist, 'reader.js') };
  const child = spawn(
    process.execPath,
    [...(isWatched ? ['--require', join(settings.bundles, 'fault-preload.cjs')] : []), join(settings.bundles, 'daemon-process.mjs')],
    {
      env: { ...process.env, ROWTUNE_TEST_DAEMON: JSON.stringify(options), ROWTUNE_TEST_FAULT: JSON.stringify(plan) },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const ended = new Promise<string>(resolve => child.once('exit', (status, signal) => resolve(signal ?? `status ${status}`)));
  const acknowledged: string[] = [];
  let jobs: readonly JobRecord[] = [];
  const client = await connected(stateDir, child);
  if (client) {
    try {
      for (let i = 0; isWatched && i < JOBS; i++) {
        const id = `${name}-${i}`;
        // A rejection is also an answer.
        const record = await within(client.request('doctor', { id, engine: 'portable' })).catch(() => undefined);
        if (record) acknowledged.push(id);
      }
      for (const id of waitFor ?? acknowledged.slice(0, 1)) await within(client.request('waitForJob', { id })).catch(() => undefined);
      jobs = await within(client.request('listJobs', {}));
      await within(client.request('shutdown', {})).catch(() => undefined);
    } catch {
      // The daemon is gone; how it ended is checked below.
    }
    client.close();
  }
  child.kill('SIGTERM');
  const how = await Promise.race([ended, delay(DEADLINE_MS, 'hung', { ref: false })]);
  if (how === 'hung') child.kill('SIGKILL');
  const operations = reportedOperations(report);
  // A signal that arrives before the daemon handles it ends the process by default.
  return { how: how === 'SIGTERM' ? 'status 0' : how, isHung: how === 'hung', said, acknowledged, jobs, operations };
}

const within = <T>(work: Promise<T>): Promise<T> =>
  Promise.race([
    work,
    // Unreferenced, because a pending timer would keep the trial alive for a minute after its last answer.
    delay(DEADLINE_MS, undefined, { ref: false }).then((): never => {
      throw new Error('no answer');
    }),
  ]);

/** Returns undefined if the daemon ends before it answers. */
async function connected(stateDir: string, child: ChildProcess): Promise<DaemonClient | undefined> {
  for (
    const deadline = Date.now() + DEADLINE_MS;
    Date.now() < deadline && child.exitCode === null && child.signalCode === null;
    await delay(30)
  ) {
    const client = await connectDaemon({ stateDir }, { client: { name: 'hostile', version: '1' } }).catch(() => undefined);
    if (client) return client;
  }
  return undefined;
}
