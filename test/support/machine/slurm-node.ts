/**
 * A real Slurm of one node, this machine, in a temporary folder: its own munge, controller and node daemon. Needs root and Debian's
 * packages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { availableParallelism, hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../../trainer/engine/install/run-command.ts';
import { until } from './until.ts';

export interface SlurmNode {
  /** The name of the node. */
  readonly name: string;
  /** Variables with which the commands find this Slurm. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs a command and returns its output. @throws Error with its message */
  ask(program: string, ...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'srun'];

const FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const isThere = (program: string): boolean => FOLDERS.some(folder => existsSync(join(folder, program)));

/** Returns why Slurm cannot be started here; undefined if it can. */
export function whyNoSlurm(): string | undefined {
  if (process.getuid?.() !== 0) return 'its daemons need root';
  return PROGRAMS.every(isThere) ? undefined : 'it is not installed: run npm run test:slurm';
}

/**
 * Starts a Slurm, or returns why its daemons do not run here. If it was requested with `npm run test:slurm`, failure is an error.
 * @throws Error with the end of the daemons' logs
 */
export async function slurmHere(): Promise<SlurmNode | string> {
  try {
    return await startSlurm();
  } catch (error) {
    if (process.env.ROWTUNE_TEST_SLURM) throw error;
    console.warn(error);
    return 'the daemons of Slurm do not run here; npm run test:slurm shows why';
  }
}

/** A partition whose jobs are preempted, and one whose jobs replace them. */
export const PARTITIONS = { low: 'low', high: 'high' } as const;

/** Number of attempts: between choosing ports and starting the daemons, another process may take a port. */
const ATTEMPTS = 3;

async function startSlurm(): Promise<SlurmNode> {
  for (let left = ATTEMPTS; ; left--)
    try {
      return await startOnce();
    } catch (error) {
      if (left === 1 || !String(error).includes('in use')) throw error;
    }
}

async function startOnce(): Promise<SlurmNode> {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-slurm-'));
  await writeSettings(folder);
  const at = (name: string): string => join(folder, name);
  const environment = { SLURM_CONF: at('slurm.conf') };
  const daemons: ChildProcess[] = [];
  const start = (program: string, ...args: string[]): void => {
    const PATH = `${process.env.PATH}:${FOLDERS.join(':')}`;
    daemons.push(spawn(program, args, { stdio: 'ignore', env: { ...process.env, PATH, ...environment } }));
  };
  const ask = async (program: string, ...args: string[]): Promise<string> => {
    const { status, output } = await runCommand(program, args, { env: environment });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${output}`);
    return output.trim();
  };
  const stop = async (): Promise<void> => {
    const running = daemons.filter(daemon => !isOver(daemon));
    const ended = running.map(daemon => new Promise(resolve => daemon.once('exit', resolve)));
    for (const daemon of running.reverse()) daemon.kill('SIGTERM');
    await Promise.all(ended);
    rmSync(folder, { recursive: true, force: true });
  };
  const waitFor = (isThere: () => boolean | Promise<boolean>, what: string): Promise<void> =>
    until(async () => {
      if (await isThere()) return true;
      const over = daemons.find(isOver);
      if (over) throw new Error(`${over.spawnfile} ended before there was ${what}`);
      return false;
    }, what);
  try {
    const options = ['key-file', 'socket', 'pid-file', 'log-file', 'seed-file'];
    start('munged', '--foreground', '--force', ...options.map(option => `--${option}=${at(`munge/${option.split('-')[0]}`)}`));
    await waitFor(() => existsSync(at('munge/socket')), 'the socket of munge');
    start('slurmctld', '-D', '-i');
    start('slurmd', '-D');
    await waitFor(async () => (await ask('sinfo', '--noheader', '--format=%T').catch(() => '')).includes('idle'), 'an idle node of Slurm');
  } catch (error) {
    const logs = ['munge/log', 'slurmctld.log', 'slurmd.log'].filter(name => existsSync(at(name)));
    const ends = logs.map(name => `${name}: ${readFileSync(at(name), 'utf8').slice(-1000)}`);
    await stop();
    throw new Error([String(error), ...ends].join('\n'), { cause: error });
  }
  return { name: nodeName(), environment, ask, stop };
}

const nodeName = (): string => hostname().split('.')[0] ?? 'localhost';

const isOver = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** Writes the settings of a Slurm whose files are all in the folder. */
async function writeSettings(folder: string): Promise<void> {
  const at = (name: string): string => join(folder, name);
  for (const name of ['munge', 'state', 'spool']) mkdirSync(at(name), { mode: 0o700 });
  writeFileSync(at('munge/key'), randomBytes(1024), { mode: 0o600 });
  const name = nodeName();
  const [controllerPort, nodePort] = await freePorts();
  const settings = {
    ClusterName: 'rowtune',
    SlurmctldHost: `${name}(127.0.0.1)`,
    SlurmUser: 'root',
    SlurmdUser: 'root',
    AuthType: 'auth/munge',
    // Also the time that a job waits before it is restarted; 120 s by default.
    AuthInfo: `socket=${at('munge/socket')},cred_expire=5`,
    CredType: 'cred/munge',
    SlurmctldPort: controllerPort,
    SlurmdPort: nodePort,
    StateSaveLocation: at('state'),
    SlurmdSpoolDir: at('spool'),
    SlurmctldPidFile: at('slurmctld.pid'),
    SlurmdPidFile: at('slurmd.pid'),
    SlurmctldLogFile: at('slurmctld.log'),
    SlurmdLogFile: at('slurmd.log'),
    ProctrackType: 'proctrack/linuxproc',
    TaskPlugin: 'task/none',
    SelectType: 'select/cons_tres',
    SelectTypeParameters: 'CR_CPU',
    ReturnToService: 2,
    PreemptType: 'preempt/partition_prio',
    PreemptMode: 'REQUEUE',
    // Seconds between searches for jobs that can start; 60 and 30 by default.
    SchedulerParameters: 'sched_interval=2,bf_interval=2',
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  writeFileSync(
    at('slurm.conf'),
    `${lines.join('\n')}
NodeName=${name} NodeAddr=127.0.0.1 CPUs=${availableParallelism()} State=UNKNOWN
PartitionName=${PARTITIONS.low} Nodes=ALL Default=YES PriorityTier=1 GraceTime=120
PartitionName=${PARTITIONS.high} Nodes=ALL PriorityTier=10 PreemptMode=OFF
`,
  );
  writeFileSync(at('cgroup.conf'), 'CgroupPlugin=disabled\n');
  chmodSync(folder, 0o755);
}

/** Finds two free ports, both held at the same time so that they differ. */
async function freePorts(): Promise<readonly [number, number]> {
  const [one, other] = [createServer(), createServer()];
  const ports = [await portOf(one), await portOf(other)] as const;
  await Promise.all([one, other].map(server => new Promise(resolve => server.close(resolve))));
  return ports;
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
