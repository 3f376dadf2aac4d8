/** Tests the life of the daemon's process: start, second start, kill and restart, exit when idle, exit on SIGTERM. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { writePrivateFile } from '../../../trainer/files/durable-file.ts';
import { isSuspended } from '../../../trainer/machine/process-identity.ts';
import { claimName } from '../../../trainer/machine/process-lock.ts';
import { isRecord } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';
import { daemonOwner } from '../../../trainer/rpc/connection/claim.ts';
import { discoveryPath, readDiscovery } from '../../../trainer/rpc/connection/discovery.ts';
import { summarizeRun } from '../../../trainer/run/run-folder.ts';
import { cacheDir, connectTo, connectToState, makeStateDir, ROWTUNE, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { readJson } from '../../support/files/read-json.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

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

/** Returns the output of a command that must fail. */
const failed = (stateDir: string, ...args: string[]): unknown => {
  try {
    return cli(stateDir, ...args);
  } catch (error) {
    return isRecord(error) ? JSON.parse(String(error.stdout)) : error;
  }
};

test('a second daemon refuses and points to the first', async () => {
  const stateDir = makeStateDir();
  const first = await startTestDaemon({ stateDir });
  await expect(startTestDaemon({ stateDir })).rejects.toMatchObject({ code: 'daemon-running', details: { port: first.discovery.port } });
  await first.stop();
  expect(existsSync(discoveryPath(stateDir))).toBe(false);
});

test.runIf(process.platform === 'linux')(
  'a suspended daemon keeps its folder: clients report it, and no second daemon starts',
  async () => {
    const stateDir = makeStateDir();
    const first = await run(stateDir);
    const client = await connectToState(stateDir);
    client.close();
    first.kill('SIGSTOP');
    await until(() => isSuspended({ pid: first.pid ?? 0 }), 'the daemon is suspended');
    await expect(connectToState(stateDir)).rejects.toMatchObject({
      code: 'daemon-unresponsive',
      hint: expect.stringContaining(`kill -CONT ${first.pid}`),
      details: { pid: first.pid },
    });
    await expect(startTestDaemon({ stateDir })).rejects.toMatchObject({ code: 'daemon-running', details: { pid: first.pid } });
    expect(failed(stateDir, 'start')).toMatchObject({
      error: { code: 'daemon-unresponsive', message: expect.stringContaining('suspended') },
    });
    expect(failed(stateDir, 'run')).toMatchObject({ error: { code: 'daemon-running' } });
    first.kill('SIGCONT');
    const again = await connectToState(stateDir);
    expect(again.server.pid).toBe(first.pid);
    again.close();
  },
);

test('a daemon with the maximum number of clients keeps its folder too', async () => {
  const stateDir = makeStateDir();
  const daemon = await startTestDaemon({ stateDir });
  const clients = await Promise.all(Array.from({ length: 64 }, () => connectToState(stateDir)));
  await expect(connectToState(stateDir)).rejects.toMatchObject({
    code: 'daemon-unresponsive',
    message: expect.stringContaining('limit of clients'),
    hint: expect.stringContaining('Close windows'),
  });
  await expect(startTestDaemon({ stateDir })).rejects.toMatchObject({ code: 'daemon-running' });
  clients[0]?.close();
  await clients[0]?.closed;
  const late = await connectToState(stateDir);
  for (const client of [...clients.slice(1), late]) client.close();
  await daemon.stop();
});

test('a state folder that cannot be written is reported at once', async () => {
  const stateDir = makeStateDir();
  const full = async (): Promise<never> => {
    throw new Error('ENOSPC: no space left on device, write');
  };
  await expect(startTestDaemon({ stateDir, writeJobs: full })).rejects.toMatchObject({
    code: 'state-unwritable',
    message: expect.stringContaining('ENOSPC'),
  });
  // Nothing is locked: the next daemon starts.
  await (await startTestDaemon({ stateDir })).stop();
  rmSync(stateDir, { recursive: true });
  writeFileSync(stateDir, 'a file in its place');
  expect(failed(stateDir, 'start')).toMatchObject({ error: { code: 'state-unwritable', message: expect.stringContaining(stateDir) } });
});

test('a job is acknowledged when the disk has it, else refused with the reason and not queued', async () => {
  const stateDir = makeStateDir();
  let isFull = false;
  const daemon = await startTestDaemon({
    stateDir,
    writeJobs: (file, text) =>
      isFull ? Promise.reject(new Error('ENOSPC: no space left on device, write')) : writePrivateFile(file, text),
  });
  const client = await connectToState(stateDir, true);
  const heard: string[] = [];
  client.on('jobChanged', ({ id }) => heard.push(id));
  const start = (id: string) => client.request('verify', { id, modelDir: stateDir, engine: 'portable' });
  isFull = true;
  for (const id of ['a', 'b', 'c'])
    await expect(start(id)).rejects.toMatchObject({
      code: 'not-recorded',
      message: expect.stringMatching(/not queued.*ENOSPC/),
      hint: expect.stringContaining('Free disk space'),
    });
  expect(await client.request('listJobs', {})).toEqual([]);
  await expect(client.request('waitForJob', { id: 'a' })).rejects.toMatchObject({ code: 'job-missing' });
  isFull = false;
  await start('d');
  expect((await client.request('waitForJob', { id: 'd' })).state).toBe('failed');
  expect(new Set(heard)).toEqual(new Set(['d']));
  const onDisk = readJson(join(stateDir, 'jobs.json'), z.array(z.object({ id: z.string() })));
  expect(onDisk.map(({ id }) => id)).toEqual(['d']);
  client.close();
  await daemon.stop();
});

test('no acknowledged job is lost, at whatever moment the daemon is killed', { timeout: 240_000 }, async () => {
  const stateDir = makeStateDir();
  const random = createRandom(13);
  const acknowledged: string[] = [];
  const modelDir = join(stateDir, 'no-model');
  for (let round = 0; round < 6; round++) {
    const child = await run(stateDir);
    const client = await connectToState(stateDir);
    // Kill shortly after one of the answers, from before the first to after the last, regardless of the machine's speed.
    const [answersBefore, delayMs] = [random.below(9), random.below(20)];
    let heard = 0;
    const killIfDue = (): void => void (heard === answersBefore && setTimeout(() => child.kill('SIGKILL'), delayMs));
    const answers = Array.from({ length: 8 }, async (_, i) => {
      const { id } = await client.request('verify', { id: `${round}-${i}`, modelDir, engine: 'portable' });
      acknowledged.push(id);
      heard++;
      killIfDue();
    });
    killIfDue();
    await Promise.allSettled(answers);
    await until(() => daemonOwner(stateDir) === undefined, 'it is gone');
  }
  const child = await run(stateDir);
  const client = await connectToState(stateDir);
  const known = new Set((await client.request('listJobs', {})).map(({ id }) => id));
  expect(acknowledged.filter(id => !known.has(id))).toEqual([]);
  expect(acknowledged.length).toBeGreaterThan(0);
  client.close();
  const ended = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
  expect(readdirSync(stateDir).filter(name => !/^(daemon\.log|jobs\.json)$/.test(name))).toEqual([]);
  expect(statSync(join(stateDir, 'jobs.json')).mode & 0o777).toBe(0o600);
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
  // The job requested from the last daemon is known, with its outcome.
  expect(await again.request('listJobs', {})).toMatchObject([{ id: 'cut', state: 'failed', failure: { code: 'daemon-ended' } }]);
  again.close();
  expect(readFileSync(join(stateDir, 'daemon.log'), 'utf8')).toContain(
    `took over ${stateDir} from a daemon that has ended (process ${child.pid})`,
  );
});

test('the daemon ends when it has no jobs and no clients, and a client keeps it running', async () => {
  // On a busy machine, the daemon may have ended before the client arrived; the next one waits longer.
  const attempt = async (idleExitMs: number): Promise<boolean> => {
    const daemon = await startTestDaemon({ idleExitMs });
    const client = await connectTo(daemon).catch(() => undefined);
    if (client === undefined) return false;
    await new Promise(resolve => setTimeout(resolve, 2 * idleExitMs));
    expect((await client.request('daemonStatus', {})).clients).toBe(1);
    client.close();
    await daemon.ended;
    return true;
  };
  for (const idleExitMs of [400, 2000, 10_000]) if (await attempt(idleExitMs)) return;
  expect.fail('no client came in time');
});

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const runDir = join(task.folder, 'runs', 'spam');
/** A recipe that runs long enough to be ended in the middle. */
const recipe = {
  text: `${task.text}num_train_epochs: 5000\nengine: portable\nsave_strategy: steps\nsave_steps: 5\n`.replace('num_train_epochs: 2\n', ''),
  fileName: 'spam.rowtune.yaml',
  baseDir: task.folder,
};
const stepOf = async (): Promise<number> => (await summarizeRun(runDir))?.step ?? 0;

test('SIGTERM lets a training save, then ends; the next daemon continues it', { timeout: 240_000 }, async () => {
  const stateDir = makeStateDir();
  const child = await run(stateDir);
  const client = await connectToState(stateDir);
  await client.request('train', { id: 'saved', recipe });
  await until(async () => (await stepOf()) > 2, 'it trains', 120_000);
  const ended = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(await summarizeRun(runDir)).toMatchObject({ state: 'stopped' });
  const saved = await stepOf();
  expect(saved).toBeGreaterThan(2);

  const second = await run(stateDir);
  const again = await connectToState(stateDir);
  expect(await again.request('listJobs', {})).toMatchObject([{ id: 'saved', state: 'stopped', resume: { runDir } }]);
  await again.request('resume', { id: 'on', runDir });
  await until(async () => (await stepOf()) > saved, 'it continues', 120_000);

  // After this kill, the worker notices that its parent is gone, saves and ends.
  second.kill('SIGKILL');
  await until(async () => (await summarizeRun(runDir))?.state !== 'running', 'the worker ends', 120_000);
  await run(stateDir);
  const third = await connectToState(stateDir);
  const jobs = await third.request('listJobs', {});
  expect(jobs.find(({ id }) => id === 'on')).toMatchObject({ state: 'failed', failure: { code: 'daemon-ended' }, resume: { runDir } });
  const [found] = (await third.request('listRuns', { folders: [task.folder] })).runs;
  expect(found).toMatchObject({ runDir, state: expect.stringMatching(/^(stopped|interrupted)$/) });
  expect(found?.step).toBeGreaterThan(saved);
  third.close();
});

test.each(['SIGTERM', 'SIGKILL'] as const)('jobs that wait at %s continue under the next daemon', { timeout: 240_000 }, async signal => {
  const stateDir = makeStateDir();
  const first = await run(stateDir);
  const client = await connectToState(stateDir);
  await client.request('train', { id: 'works', recipe });
  await client.request('verify', { id: 'waits', modelDir: join(import.meta.dirname, '..', '..', 'golden', 'llama'), engine: 'portable' });
  const options = { engine: 'portable', chat: false, maxNewTokens: 4, temperature: 0, topP: 1, topK: 0, seed: 1 } as const;
  await client.request('generate', { id: 'asked', model: 'model', revision: 'main', baseDir: task.folder, prompt: 'lunch at', options });
  const asked = client.request('waitForJob', { id: 'asked' }).catch((error: unknown) => error);
  const ended = new Promise(resolve => first.once('exit', resolve));
  first.kill(signal);
  await ended;
  expect(await asked).toMatchObject(
    signal === 'SIGTERM' ? { state: 'failed', failure: { code: 'daemon-ended' } } : { name: 'DaemonError', code: 'daemon-gone' },
  );
  expect(readFileSync(join(stateDir, 'jobs.json'), 'utf8')).not.toContain('"hub"');

  await run(stateDir);
  const again = await connectToState(stateDir);
  expect(await again.request('waitForJob', { id: 'waits' })).toMatchObject({ state: 'succeeded' });
  const jobs = new Map((await again.request('listJobs', {})).map(job => [job.id, job]));
  expect(jobs.get('works')).toMatchObject({ state: signal === 'SIGTERM' ? 'stopped' : 'failed' });
  // The client that requested it is gone.
  expect(jobs.get('asked')).toMatchObject({ state: 'failed', failure: { code: 'daemon-ended' } });
  again.close();
});

test('two daemons that start at once: one serves, the other ends with a message', async () => {
  const stateDir = makeStateDir();
  const racers = [0, 1].map(() =>
    spawn(process.execPath, [ROWTUNE, 'daemon', 'run', '--json'], { env: environment(stateDir), stdio: ['ignore', 'pipe', 'ignore'] }),
  );
  children.push(...racers);
  const loser = await Promise.race(
    racers.map(
      racer =>
        new Promise<{ pid: number | undefined; status: number | null; text: string }>(resolve => {
          let text = '';
          racer.stdout.on('data', chunk => {
            text += chunk;
          });
          racer.once('close', status => resolve({ pid: racer.pid, status, text }));
        }),
    ),
  );
  expect(loser.status).toBe(1);
  expect(JSON.parse(loser.text)).toMatchObject({ ok: false, error: { code: 'daemon-running' } });
  const client = await connectToState(stateDir);
  expect(racers.map(({ pid }) => pid).filter(pid => pid !== loser.pid)).toEqual([client.server.pid]);
  client.close();
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
  const { pid } = z.object({ pid: z.number() }).parse(cli(stateDir, 'start'));
  expect(cli(stateDir, 'start')).toMatchObject({ pid, started: false });
  expect(cli(stateDir, 'status')).toMatchObject({ running: true, pid, clients: 1 });
  expect(cli(stateDir, 'stop')).toMatchObject({ stopped: true, pid });
  expect(cli(stateDir, 'status')).toMatchObject({ running: false });
});

/** A daemon of another version: it rejects every handshake and ends on a signal. */
const OTHER_VERSION = `
  import { writeFileSync } from 'node:fs';
  import { WebSocketServer } from 'ws';
  const [file] = process.argv.slice(1);
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: names => [...names][0] }, () => {
    const { port } = server.address();
    writeFileSync(file, JSON.stringify({ port, pid: process.pid, startedAt: 'then', token: 'a'.repeat(64), version: '0.0.1' }));
  });
  server.on('connection', socket => socket.on('message', data => {
    const { id } = JSON.parse(data);
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32001, message: 'speaks 99', data: { code: 'protocol-mismatch' } } }));
  }));
  process.on('SIGTERM', () => process.exit(0));
`;

test('a daemon of another version is reported as such, keeps its folder, and can be stopped', async () => {
  const stateDir = makeStateDir();
  const child = spawn(process.execPath, ['--input-type=module', '-e', OTHER_VERSION, discoveryPath(stateDir)], { stdio: 'inherit' });
  children.push(child);
  await until(async () => (await readDiscovery(stateDir))?.pid === child.pid, 'it is there');
  mkdirSync(join(stateDir, 'daemon.lock'));
  writeFileSync(join(stateDir, 'daemon.lock', claimName({ pid: child.pid ?? 0 })), '');
  await expect(connectToState(stateDir)).rejects.toMatchObject({ code: 'protocol-mismatch' });
  await expect(startTestDaemon({ stateDir })).rejects.toMatchObject({ code: 'daemon-running' });
  const ended = new Promise(resolve => child.once('exit', resolve));
  expect(cli(stateDir, 'stop')).toMatchObject({ stopped: true, pid: child.pid });
  expect(await ended).toBe(0);
});
