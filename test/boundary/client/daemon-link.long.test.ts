/** The client's connection to real daemons over real sockets: it joins, starts, loses and recovers them without gaps in the job events. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DaemonKeeper, type LinkOptions } from '../../../client/daemon/daemon-connection.ts';
import { JobStore } from '../../../client/daemon/job-store.ts';
import type { LinkState } from '../../../client/daemon/link-state.ts';
import { createRestartPolicy } from '../../../client/daemon/restart-policy.ts';
import { runRowtune } from '../../../client/daemon/rowtune-program.ts';
import { isSuspended } from '../../../trainer/machine/process-identity.ts';
import type { JobEvent } from '../../../trainer/protocol/messages/rpc-messages.ts';
import type { DaemonAddress } from '../../../trainer/rpc/connection/connect.ts';
import { discoveryPath, readDiscovery } from '../../../trainer/rpc/connection/discovery.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { cacheDir, makeStateDir, ROWTUNE, startTestDaemon, until, urlOf } from '../../support/daemon/daemon.ts';

const stateDirs: string[] = [];
const newStateDir = (): string => {
  const folder = makeStateDir();
  stateDirs.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of stateDirs) rmSync(folder, { recursive: true, force: true });
});

function keeper(
  address: () => DaemonAddress | Promise<DaemonAddress>,
  start: () => Promise<void> = async () => Promise.reject(new Error('nothing is started here')),
  own: Pick<LinkOptions, 'silenceMs'> = {},
) {
  const store = new JobStore();
  const events: JobEvent[] = [];
  const states: LinkState['kind'][] = [];
  let restarts = 0;
  store.onEvent(event => events.push(event));
  const link = new DaemonKeeper({
    store,
    client: { name: 'test', version: '0' },
    address: async () => address(),
    start,
    policy: createRestartPolicy(1),
    onState: ({ kind }) => states.push(kind),
    onRestarted: () => void restarts++,
    log: () => undefined,
    ...own,
  });
  return { link, store, events, states, restarts: () => restarts };
}

const addressOf = (daemon: Daemon): DaemonAddress => ({ url: urlOf(daemon), token: daemon.discovery.token });
/** Starts a daemon as the client does, in its own process. */
const startProcess = (stateDir: string) => async () => {
  const env = { ...process.env, ROWTUNE_STATE: stateDir, ROWTUNE_CACHE: cacheDir };
  await runRowtune({ node: { command: process.execPath, env: {} }, program: ROWTUNE, args: ['daemon', 'start'], env });
};

describe('a running daemon', () => {
  test('is connected to, and its jobs are listed', async () => {
    const stateDir = newStateDir();
    const daemon = await startTestDaemon({ stateDir });
    const { link, store, states } = keeper(() => ({ stateDir }));
    const client = await link.join();
    expect(client?.server.pid).toBe(process.pid);
    expect(await link.ensure()).toBe(client);
    await client?.request('doctor', { id: 'look', engine: 'portable' });
    await until(() => store.get('look')?.state === 'succeeded', 'the job has ended', 60_000);
    expect(states).toEqual(['connected']);
    link.dispose();
    await daemon.stop();
  });

  test('is not started again after a stop that was requested', async () => {
    const stateDir = newStateDir();
    const daemon = await startTestDaemon({ stateDir });
    const { link, states } = keeper(() => ({ stateDir }));
    await link.ensure();
    await link.stop();
    await daemon.ended;
    await until(() => link.state.kind === 'off', 'the link knows');
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(states).toEqual(['connected', 'reconnecting', 'off']);
  });

  test('joining without a daemon fails silently, also where a stale discovery file points to another daemon', async () => {
    const stateDir = newStateDir();
    const { link, states } = keeper(() => ({ stateDir }));
    expect(await link.join()).toBeUndefined();
    const other = await startTestDaemon({ stateDir: newStateDir() });
    writeFileSync(discoveryPath(stateDir), JSON.stringify({ ...other.discovery, token: 'f'.repeat(64) }));
    expect(await link.join()).toBeUndefined();
    expect(states).toEqual([]);
    await other.stop();
  });

  test('a request for a daemon starts one, even while a window is still looking for a running one', async () => {
    const stateDir = newStateDir();
    const started: Daemon[] = [];
    const { link, states } = keeper(
      () => ({ stateDir }),
      async () => void started.push(await startTestDaemon({ stateDir })),
    );
    const [joined, first, second] = await Promise.all([link.join(), link.ensure(), link.ensure()]);
    expect(joined).toBeUndefined();
    expect(first).toBe(link.current);
    expect(second).toBe(first);
    expect(states).toEqual(['starting', 'connected']);
    expect(started).toHaveLength(1);
    link.dispose();
    await started[0]?.stop();
  });

  test('a wrong token is reported once, and starts no daemon', async () => {
    const daemon = await startTestDaemon({ stateDir: newStateDir() });
    const { link, states } = keeper(() => ({ url: urlOf(daemon), token: 'f'.repeat(64) }));
    await expect(link.ensure()).rejects.toMatchObject({ code: 'daemon-refused' });
    // A new window joins, too, but the error is reported only once.
    await expect(link.join()).rejects.toMatchObject({ code: 'daemon-refused' });
    expect(states).toEqual(['failed']);
    link.dispose();
    await daemon.stop();
  });
});

test('when the address changes while connecting, the link connects to the new daemon and stays there', async () => {
  const [before, after] = await Promise.all([newStateDir(), newStateDir()].map(stateDir => startTestDaemon({ stateDir })));
  if (!before || !after) throw new Error('no daemons');
  let release = (): void => undefined;
  const held = new Promise<void>(resolve => {
    release = resolve;
  });
  let current = before;
  const { link, states } = keeper(async () => {
    const of = current;
    if (of === before) await held;
    return addressOf(of);
  });
  const early = link.join();
  link.disconnect();
  current = after;
  const client = await link.ensure();
  release();
  await early;
  expect(link.current).toBe(client);
  expect(await client.request('listJobs', {})).toEqual([]);
  expect(states).toEqual(['connected']);
  link.dispose();
  await Promise.all([before.stop(), after.stop()]);
});

describe('a connection that is lost', () => {
  test('is connected again, and events missed meanwhile arrive once and in order', async () => {
    const daemon = await startTestDaemon({ stateDir: newStateDir() });
    const { link, store, events, states } = keeper(() => addressOf(daemon));
    const other = keeper(() => addressOf(daemon));
    const client = await link.ensure();
    const far = await other.link.ensure();
    await far.request('doctor', { id: 'first', engine: 'portable' });
    await until(() => store.get('first')?.state === 'succeeded', 'the first job has ended', 60_000);
    client.close();
    await until(() => link.state.kind === 'reconnecting', 'the loss is noticed');
    await far.request('doctor', { id: 'second', engine: 'portable' });
    await until(() => store.get('second')?.state === 'succeeded', 'the second job has ended', 60_000);
    const numbers = events.map(({ seq }) => seq);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(events.map(({ seq, jobId }) => [seq, jobId])).toEqual(other.events.map(({ seq, jobId }) => [seq, jobId]));
    expect(states).toEqual(['connected', 'reconnecting', 'connected']);
    link.dispose();
    other.link.dispose();
    await daemon.stop();
  });
});

describe('a daemon of its own process', () => {
  test('is started when it is needed, started again when it dies, and given up when it keeps dying', async () => {
    const stateDir = newStateDir();
    const { link, restarts } = keeper(() => ({ stateDir }), startProcess(stateDir));
    const client = await link.ensure();
    expect(client.server.pid).not.toBe(process.pid);
    process.kill(client.server.pid, 'SIGKILL');
    await until(() => link.state.kind === 'connected' && link.current !== client, 'another daemon is there', 30_000);
    expect(restarts()).toBe(1);
    process.kill(link.current?.server.pid ?? 0, 'SIGKILL');
    await until(() => link.state.kind === 'failed', 'it is given up', 30_000);
    expect(link.state).toMatchObject({ error: { code: 'daemon-crashes' } });
    // A caller that requests the daemon gets one anyway.
    const third = await link.ensure();
    await link.stop();
    await until(async () => (await readDiscovery(stateDir)) === undefined, `process ${third.server.pid} has ended`);
  });

  test('is reported when it hangs, its jobs are not, and it is found again when it continues', async () => {
    const stateDir = newStateDir();
    const { link, store } = keeper(() => ({ stateDir }), startProcess(stateDir), { silenceMs: 2000 });
    const client = await link.ensure();
    const { pid } = client.server;
    await client.request('doctor', { id: 'look', engine: 'portable' });
    await until(() => store.get('look')?.state === 'succeeded', 'the job has ended', 60_000);
    process.kill(pid, 'SIGSTOP');
    await until(() => isSuspended({ pid }), 'the daemon is suspended');
    for (const job of store.list()) store.put({ ...job, state: 'running' });
    await until(() => link.state.kind === 'failed', 'its silence is noticed', 30_000);
    await expect(link.ensure()).rejects.toMatchObject({ code: 'daemon-unresponsive', hint: expect.stringContaining(`kill -CONT ${pid}`) });
    expect(store.active().map(({ id }) => id)).toEqual(['look']);
    process.kill(pid, 'SIGCONT');
    await until(() => link.state.kind === 'connected' && link.state.pid === pid, 'it is found again', 30_000);
    expect(store.get('look')?.state).toBe('succeeded');
    await link.stop();
  });

  test('reports why it cannot start', async () => {
    const stateDir = join(newStateDir(), 'folder');
    mkdirSync(join(stateDir, '..'), { recursive: true });
    writeFileSync(stateDir, 'in the way');
    const { link } = keeper(() => ({ stateDir }), startProcess(stateDir));
    await expect(link.ensure()).rejects.toThrow(/EEXIST|ENOTDIR|not a directory|exists/);
    expect(link.state.kind).toBe('failed');
  });
});
