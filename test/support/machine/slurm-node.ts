/** A real Slurm of one node, this machine, in a folder that is thrown away: its own munge, controller and node daemon. Needs root and Debian's packages. */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../../trainer/engine/install/run-command.ts';
import { until } from './until.ts';

export interface SlurmNode {
  /** Variables with which its commands find it. */
  readonly environment: Readonly<Record<string, string>>;
  /** The answer of one of its commands. @throws Error with what it said */
  ask(program: string, ...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch'];

const isThere = (program: string): boolean => ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some(folder => existsSync(join(folder, program)));

/** Why none can be started here; undefined if one can. With ROWTUNE_TEST_SLURM=1, Debian's packages are installed where they are missing. */
export function whyNoSlurm(): string | undefined {
  if (process.getuid?.() !== 0) return 'its daemons need root';
  if (PROGRAMS.every(isThere)) return undefined;
  if (process.env.ROWTUNE_TEST_SLURM === undefined) return 'it is not installed: run npm run test:slurm';
  try {
    execFileSync('apt-get', ['update'], { stdio: 'ignore' });
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'slurm-wlm', 'munge'], { stdio: 'ignore' });
    return undefined;
  } catch (error) {
    return `it can't be installed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** A partition whose jobs give way, and one whose jobs take their place. */
export const PARTITIONS = { low: 'low', high: 'high' } as const;

export async function startSlurm(): Promise<SlurmNode> {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-slurm-'));
  const at = (name: string): string => join(folder, name);
  for (const name of ['munge', 'state', 'spool']) mkdirSync(at(name), { mode: 0o700 });
  writeFileSync(at('munge/key'), randomBytes(1024), { mode: 0o600 });
  const name = hostname().split('.')[0] ?? 'localhost';
  const [controllerPort, nodePort] = [await freePort(), await freePort()];
  const settings = {
    ClusterName: 'rowtune',
    SlurmctldHost: `${name}(127.0.0.1)`,
    SlurmUser: 'root',
    SlurmdUser: 'root',
    AuthType: 'auth/munge',
    // Also the time that a job waits before it starts again; 120 s by default.
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
    // Seconds between two looks for jobs that can start; 60 and 30 by default.
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
  const environment = { SLURM_CONF: at('slurm.conf') };
  const munge = ['key-file', 'socket', 'pid-file', 'log-file', 'seed-file'].map(
    option => `--${option}=${at(`munge/${option.split('-')[0]}`)}`,
  );
  const daemons = [
    spawn('munged', ['--foreground', '--force', ...munge], { stdio: 'ignore' }),
    spawn('slurmctld', ['-D', '-i'], { stdio: 'ignore', env: { ...process.env, ...environment } }),
    spawn('slurmd', ['-D'], { stdio: 'ignore', env: { ...process.env, ...environment } }),
  ];
  const ask = async (program: string, ...args: string[]): Promise<string> => {
    const { status, output } = await runCommand(program, args, { env: environment });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${output}`);
    return output.trim();
  };
  const stop = async (): Promise<void> => {
    const ended = daemons.map(daemon => new Promise(resolve => daemon.once('exit', resolve)));
    for (const daemon of daemons.reverse()) daemon.kill('SIGTERM');
    await Promise.all(ended);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until(async () => (await ask('sinfo', '--noheader', '--format=%T').catch(() => '')).includes('idle'), 'an idle node of Slurm');
  } catch (error) {
    const log = existsSync(at('slurmctld.log')) ? readFileSync(at('slurmctld.log'), 'utf8').slice(-1000) : '';
    await stop();
    throw new Error(log, { cause: error });
  }
  return { environment, ask, stop };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise(resolve => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
