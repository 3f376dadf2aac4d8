/** Tests the lock that one process at a time holds: contention, death, suspension, links and reused process ids. */
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { isRunning, isSuspended, ownIdentity } from '../../../trainer/machine/process-identity.ts';
import { claimName, lockHolder, takeLock } from '../../../trainer/machine/process-lock.ts';
import { until } from '../../support/machine/until.ts';

/** A bundle for other processes. */
const bundle = join(mkdtempSync(join(tmpdir(), 'rowtune-lock-bundle-')), 'process-lock.mjs');
buildSync({
  entryPoints: [join(import.meta.dirname, '..', '..', '..', 'trainer', 'machine', 'process-lock.ts')],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  format: 'esm',
});
afterAll(() => rmSync(dirname(bundle), { recursive: true, force: true }));

let folder: string;
let lock: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowtune-lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const taken = (at = lock) => {
  const outcome = takeLock(at);
  if ('holder' in outcome) throw new Error(`held by ${outcome.holder.pid}`);
  return outcome;
};
const claimOf = (identity: Parameters<typeof claimName>[0]): void => {
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, claimName(identity)), '');
};

test('is held by one process, also through a link, and leaves nothing behind', () => {
  const { release, takenFrom } = taken();
  expect(takenFrom).toEqual([]);
  expect(lockHolder(lock)).toEqual(ownIdentity());
  symlinkSync(folder, `${folder}-link`);
  expect(takeLock(join(`${folder}-link`, 'lock'))).toEqual({ holder: ownIdentity() });
  rmSync(`${folder}-link`);
  release();
  expect([readdirSync(folder), lockHolder(lock)]).toEqual([[], undefined]);
  taken().release();
});

test('of a dead process is taken over, of a living one never', () => {
  const dead = { pid: spawnSync(process.execPath, ['-e', '']).pid };
  claimOf(dead);
  const { release, takenFrom } = taken();
  expect(takenFrom).toEqual([dead]);
  release();
  claimOf({ pid: process.ppid });
  expect(takeLock(lock)).toMatchObject({ holder: { pid: process.ppid } });
  expect(readdirSync(lock)).toEqual([claimName({ pid: process.ppid })]);
});

test('a copy of a locked folder is not locked, and the original stays locked', () => {
  const { release } = taken();
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  const copied = join(copy, 'lock');
  expect(lockHolder(copied)).toBeUndefined();
  taken(copied).release();
  expect(readdirSync(copy)).toEqual([]);
  expect(lockHolder(lock)).toEqual(ownIdentity());
  // A moved folder still belongs to its process.
  renameSync(folder, copy);
  expect(lockHolder(copied)).toEqual(ownIdentity());
  renameSync(copy, folder);
  release();
});

test.runIf(process.platform === 'linux')('a reused process id, or one from before a reboot, does not hold it', () => {
  const own = ownIdentity();
  expect(isRunning(own)).toBe(true);
  for (const other of [{ startTime: '1' }, { bootId: '00000000' }]) {
    expect(isRunning({ ...own, ...other })).toBe(false);
    claimOf({ ...own, ...other });
    taken().release();
  }
});

test("a user's file with its name is left alone", () => {
  writeFileSync(lock, 'mine');
  expect(() => takeLock(lock)).toThrow('ENOTDIR');
  expect(readFileSync(lock, 'utf8')).toBe('mine');
});

test.runIf(process.platform === 'linux')('a suspended process keeps it', async () => {
  const script = `
    const { takeLock } = await import(${JSON.stringify(bundle)});
    console.log('release' in takeLock(process.argv[1]));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, lock], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await until(() => lockHolder(lock)?.pid === child.pid, 'it has the lock');
    child.kill('SIGSTOP');
    await until(() => isSuspended({ pid: child.pid ?? 0 }), 'the daemon is suspended');
    expect(takeLock(lock)).toMatchObject({ holder: { pid: child.pid } });
  } finally {
    child.kill('SIGKILL');
  }
  await until(() => lockHolder(lock) === undefined, 'it has ended');
  taken().release();
});

test('only one of many competing processes holds it at a time', async () => {
  // Each process writes a file while it holds the lock, and must find none of another.
  const script = `
    const { takeLock } = await import(${JSON.stringify(bundle)});
    const { existsSync, rmSync, writeFileSync } = await import('node:fs');
    const [lock, mark] = process.argv.slice(1);
    let held = 0;
    for (let i = 0; i < 60; i++) {
      const outcome = takeLock(lock);
      if ('holder' in outcome) continue;
      held++;
      if (existsSync(mark)) process.exit(9);
      writeFileSync(mark, '', { flag: 'wx' });
      rmSync(mark);
      // Every third dies with it, as a kill would have it.
      if (held === 20 && process.pid % 3 === 0) process.kill(process.pid, 'SIGKILL');
      outcome.release();
    }
    console.log(held);`;
  const mark = join(folder, 'mark');
  const runs = Array.from({ length: 6 }, () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, lock, mark], { stdio: ['ignore', 'pipe', 'inherit'] });
    return new Promise<number | null>(resolve => child.once('close', status => resolve(status)));
  });
  const statuses = await Promise.all(runs);
  expect(statuses.filter(status => status !== 0 && status !== null)).toEqual([]);
  expect(existsSync(mark)).toBe(false);
  taken().release();
});
