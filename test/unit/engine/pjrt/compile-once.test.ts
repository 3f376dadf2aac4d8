/** Tests that the processes of a machine compile a program once, and that none waits for what never comes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileOnce, type SharedCompilation } from '../../../../trainer/engine/pjrt/compile-once.ts';
import { openProgramCache, type ProgramCache, type ProgramKey } from '../../../../trainer/engine/pjrt/program-cache.ts';
import { Job } from '../../../../trainer/job/job.ts';
import { isSuspended } from '../../../../trainer/machine/process-identity.ts';
import { makeTemporaryFolder, removeTemporaryFolders } from '../../../support/machine/temporary-folder.ts';
import { until } from '../../../support/machine/until.ts';

afterAll(removeTemporaryFolders);

/** A process that compiles a program as soon as it may, and finishes when it receives a line: 'keep', or anything else. */
const script = join(makeTemporaryFolder(), 'compile.mjs');
buildSync({
  stdin: {
    contents: `
      import { once } from 'node:events';
      import { createInterface } from 'node:readline';
      import { compileOnce } from './compile-once.ts';
      import { openProgramCache } from './program-cache.ts';
      const [folder, name] = process.argv.slice(2);
      const cache = openProgramCache(folder);
      const key = { plugin: 'plugin', device: 'device', options: new Uint8Array(0), text: name };
      const { program, found } = await compileOnce({
        lock: cache.lockOf(key),
        title: name,
        find: async () => cache.find(key),
        compile: async () => {
          console.log('compiling');
          const [line] = await once(createInterface({ input: process.stdin }), 'line');
          const bytes = Buffer.from('by ' + process.pid);
          if (line === 'keep') await cache.keep(key, bytes);
          return bytes;
        },
        log: () => undefined,
        patience: { lookMs: 1, reportMs: Infinity, maxMs: Infinity },
      });
      console.log(found + ' ' + Buffer.from(program).toString());
      process.exit();`,
    resolveDir: join(import.meta.dirname, '..', '..', '..', '..', 'trainer', 'engine', 'pjrt'),
  },
  outfile: script,
  bundle: true,
  platform: 'node',
  format: 'esm',
});

let folder: string;
let cache: ProgramCache;
beforeEach(() => {
  folder = makeTemporaryFolder();
  cache = openProgramCache(folder);
});

interface Other {
  readonly child: ChildProcess;
  readonly lines: AsyncIterableIterator<string>;
}
const others: ChildProcess[] = [];
afterEach(() => {
  for (const child of others.splice(0)) child.kill('SIGKILL');
});

/** Starts another process that compiles the program. */
function start(name: string): Other {
  const child = spawn(process.execPath, [script, folder, name], { stdio: ['pipe', 'pipe', 'inherit'] });
  others.push(child);
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

const nextLine = async ({ lines }: Other): Promise<string> => String((await lines.next()).value);

async function allLines({ lines }: Other): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

/** Starts a process, and returns when it compiles. */
async function startCompiling(name: string): Promise<Other> {
  const other = start(name);
  expect(await nextLine(other)).toBe('compiling');
  return other;
}

const keyOf = (name: string): ProgramKey => ({ plugin: 'plugin', device: 'device', options: new Uint8Array(0), text: name });

/** Asks for a program in this process. Each look at another process adds a line to `log`. */
function ask(name: string, rest: Partial<SharedCompilation<Uint8Array>> = {}) {
  const log: string[] = [];
  const key = keyOf(name);
  const result = compileOnce<Uint8Array>({
    lock: cache.lockOf(key),
    title: name,
    find: async () => cache.find(key),
    compile: async () => {
      const bytes = Buffer.from('here');
      await cache.keep(key, bytes);
      return bytes;
    },
    log: line => log.push(line),
    patience: { lookMs: 1, reportMs: 0, maxMs: Number.POSITIVE_INFINITY },
    ...rest,
  }).then(({ program, found }) => ({ program: Buffer.from(program).toString(), found }));
  return { log, result };
}

const HERE = { program: 'here', found: false };
/** Expects every lock to be released; the other process may do so a moment after this one has seen it. */
const expectUnlocked = () => expect.poll(() => readdirSync(join(folder, 'compiling'))).toEqual([]);

describe('a program that another process compiles', () => {
  test('is read once that process has finished, and the wait is shown', async () => {
    const other = await startCompiling('step');
    const { log, result } = ask('step', { compile: () => Promise.reject(new Error('compiled twice')) });
    await until(() => log.length > 2, 'it waits');
    expect(log[0]).toBe(`waiting for process ${other.child.pid} to compile step: 0 s so far`);
    other.child.stdin?.write('keep\n');
    expect(await result).toEqual({ program: `by ${other.child.pid}`, found: true });
    await expectUnlocked();
  });

  test('is compiled by the next process if that process is killed', async () => {
    const other = await startCompiling('step');
    const { log, result } = ask('step');
    await until(() => log.length > 0, 'it waits');
    other.child.kill('SIGKILL');
    expect(await result).toEqual(HERE);
    await expectUnlocked();
  });

  test('leaves no lock once another program is compiled, and a lock that is held stays', async () => {
    const killed = await startCompiling('killed');
    const other = await startCompiling('step');
    killed.child.kill('SIGKILL');
    await once(killed.child, 'exit');
    expect(readdirSync(join(folder, 'compiling'))).toHaveLength(2);
    expect(await ask('another step').result).toEqual(HERE);
    const held = basename(cache.lockOf(keyOf('step')));
    expect(readdirSync(join(folder, 'compiling'))).toEqual([held]);
    other.child.stdin?.write('keep\n');
    expect(await allLines(other)).toEqual([`false by ${other.child.pid}`]);
    await expectUnlocked();
  });

  test('is compiled by each waiting process if the result could not be cached', async () => {
    const other = await startCompiling('step');
    const { log, result } = ask('step');
    await until(() => log.length > 2, 'it waits');
    other.child.stdin?.write('lose\n');
    expect(await result).toEqual(HERE);
  });

  test('is compiled by this process too after the longest wait, which is announced', async () => {
    const { child } = await startCompiling('step');
    const { log, result } = ask('step', { patience: { lookMs: 1, reportMs: 0, maxMs: 0 } });
    expect(await result).toEqual(HERE);
    expect(log).toEqual([`process ${child.pid}, which compiles step, took 0 minutes: this process compiles it too`]);
  });

  test.runIf(process.platform === 'linux')('is compiled by this process too if the other one is suspended', async () => {
    const { child } = await startCompiling('step');
    child.kill('SIGSTOP');
    await until(() => isSuspended({ pid: child.pid ?? 0 }), 'the process is suspended');
    const { log, result } = ask('step');
    expect(await result).toEqual(HERE);
    expect(log).toEqual([`process ${child.pid}, which compiles step, is suspended: this process compiles it too`]);
  });

  test('is waited for until the job is stopped', async () => {
    await startCompiling('step');
    const job = new Job(() => undefined);
    const { log, result } = ask('step', { signal: job.signal });
    const reason = result.catch(error => job.explain(error));
    await until(() => log.length > 0, 'it waits');
    job.requestStop({ save: true, reason: 'enough' });
    expect(await reason).toMatchObject({ code: 'stopped', message: 'enough' });
  });

  test('does not delay another program', async () => {
    await startCompiling('step');
    const { log, result } = ask('another step');
    expect(await result).toEqual(HERE);
    expect(log).toEqual([]);
  });
});

test('one of several processes that begin together compiles', async () => {
  const all = Array.from({ length: 6 }, () => start('step'));
  for (const { child } of all) child.stdin?.write('keep\n');
  const printed = await Promise.all(all.map(allLines));
  const [first] = printed.filter(lines => lines.includes('compiling'));
  const result = first?.at(-1)?.replace('false ', '');
  expect(printed.flat().filter(line => line === 'compiling')).toHaveLength(1);
  expect(printed.flat().filter(line => line === `true ${result}`)).toHaveLength(5);
  await expectUnlocked();
});

test('a process that asks for a program while it compiles it compiles it again', async () => {
  const { log, result } = ask('step', { compile: async () => Buffer.from(`outer, ${(await ask('step').result).program}`) });
  expect(await result).toEqual({ program: 'outer, here', found: false });
  expect(log).toEqual([]);
});

test('a cache that cannot be written lets each process compile', async () => {
  writeFileSync(join(folder, 'compiling'), 'a file in place of the folder');
  const { log, result } = ask('step');
  expect(await result).toEqual(HERE);
  expect(log).toEqual([]);
});

test('a damaged program is compiled again and replaced', async () => {
  expect(await ask('step').result).toEqual(HERE);
  const programs = join(folder, 'programs');
  const [file = ''] = readdirSync(programs).map(name => join(programs, name));
  writeFileSync(file, `${readFileSync(file, 'latin1')}.`);
  expect(await ask('step').result).toEqual(HERE);
  expect(await ask('step').result).toEqual({ ...HERE, found: true });
});

test('a failed compilation releases the lock', async () => {
  const { result } = ask('step', { compile: () => Promise.reject(new Error('refused')) });
  await expect(result).rejects.toThrow('refused');
  await expectUnlocked();
});
