/** The life of the daemon's process: start, a second start, kill and start again, idle end, the end on SIGTERM. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { discoveryPath, readDiscovery } from '../../../trainer/rpc/discovery.ts';
import { cacheDir, connectTo, connectToState, makeStateDir, ROWTUNE, startTestDaemon, until } from '../../support/daemon.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const environment = (stateDir: string) => ({ ...process.env, ROWTUNE_STATE: stateDir, ROWTUNE_CACHE: cacheDir });

async function run(stateDir: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [ROWTUNE, 'daemon', 'run'], { env: environment(stateDir), stdio: 'ignore' });
  children.push(child);
  await until(async () => (await readDiscovery(stateDir))?.pid === child.pid, 'the daemon is there');
  return child;
}

const cli = (stateDir: string, ...args: string[]): unknown =>
  JSON.parse(
    execFileSync(process.execPath, [ROWTUNE, 'daemon', ...args, '--json'], {
      env: environment(stateDir),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );

test('a second daemon refuses and points to the first', async () => {
  const stateDir = makeStateDir();
  const first = await startTestDaemon({ stateDir });
  await expect(startTestDaemon({ stateDir })).rejects.toMatchObject({ code: 'daemon-running', details: { port: first.discovery.port } });
  await first.stop();
  expect(existsSync(discoveryPath(stateDir))).toBe(false);
});

test('every pending call of a client ends with the reason when the daemon is killed, and a new one takes the stale lock over', async () => {
  const stateDir = makeStateDir();
  const child = await run(stateDir);
  const client = await connectToState(stateDir);
  await client.request('doctor', { id: 'cut', engine: 'portable' });
  const pending = client.request('waitForJob', { id: 'cut' });
  child.kill('SIGKILL');
  await expect(pending).rejects.toMatchObject({ code: 'daemon-gone' });
  await expect(client.request('daemonStatus', {})).rejects.toMatchObject({ code: 'daemon-gone' });
  const token = (await readDiscovery(stateDir))?.token;
  expect(token).toBeDefined();
  await run(stateDir);
  const again = await connectToState(stateDir);
  expect((await readDiscovery(stateDir))?.token).not.toBe(token);
  // What was asked of the last one is known, with what became of it.
  expect(await again.request('listJobs', {})).toMatchObject([{ id: 'cut', state: 'failed', failure: { code: 'daemon-ended' } }]);
  again.close();
  expect(readFileSync(join(stateDir, 'daemon.log'), 'utf8')).toContain('took over');
});

test('without jobs and clients it ends; a client keeps it', async () => {
  const daemon = await startTestDaemon({ idleExitMs: 150 });
  const client = await connectTo(daemon);
  await new Promise(resolve => setTimeout(resolve, 400));
  expect((await client.request('daemonStatus', {})).clients).toBe(1);
  client.close();
  await daemon.ended;
});

test('SIGTERM ends it in order', async () => {
  const stateDir = makeStateDir();
  const child = await run(stateDir);
  const ended = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(existsSync(discoveryPath(stateDir))).toBe(false);
});

test('start, status and stop of the command line', async () => {
  const stateDir = makeStateDir();
  expect(cli(stateDir, 'status')).toMatchObject({ running: false });
  const { pid } = cli(stateDir, 'start') as { readonly pid: number };
  expect(cli(stateDir, 'start')).toMatchObject({ pid, started: false });
  expect(cli(stateDir, 'status')).toMatchObject({ running: true, pid, clients: 1 });
  expect(cli(stateDir, 'stop')).toMatchObject({ stopped: true, pid });
  expect(cli(stateDir, 'status')).toMatchObject({ running: false });
});
