/** Tests memory under a limit, with the content of /proc and /sys in a folder that stands for the root of the disk. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readTextOrEmpty } from '../../../trainer/machine/control-group.ts';
import { availableMemoryBytes, totalMemoryBytes } from '../../../trainer/machine/machine.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-cgroup-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Files = Readonly<Record<string, string>>;

/** Creates a machine with 4 GiB free, and further files. */
function machine(files: Files) {
  const root = mkdtempSync(path.join(folder, 'root-'));
  for (const [name, text] of Object.entries({ '/proc/meminfo': 'MemAvailable:    4194304 kB\n', ...files })) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  const readText = (file: string): string => readTextOrEmpty(path.join(root, file));
  return { available: availableMemoryBytes(readText), total: totalMemoryBytes(readText) };
}

const MB = 1_000_000;

it.each<[string, Files, string, Files]>([
  [
    'version 2, in a container',
    { '/proc/self/cgroup': '0::/\n' },
    '/sys/fs/cgroup',
    { 'memory.max': `${80 * MB}\n`, 'memory.current': `${30 * MB}\n`, 'memory.stat': `anon 1\ninactive_file ${10 * MB}\nactive_file 7\n` },
  ],
  [
    'version 2, of a group above',
    { '/proc/self/cgroup': '0::/user.slice/job.scope\n', '/sys/fs/cgroup/user.slice/job.scope/memory.max': 'max\n' },
    '/sys/fs/cgroup/user.slice',
    { 'memory.max': `${80 * MB}\n`, 'memory.current': `${30 * MB}\n`, 'memory.stat': `inactive_file ${10 * MB}\n` },
  ],
  [
    'version 1',
    { '/proc/self/cgroup': '4:memory:/docker/1f\n0::/\n', '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' },
    '/sys/fs/cgroup/memory/docker/1f',
    {
      'memory.limit_in_bytes': `${80 * MB}\n`,
      'memory.usage_in_bytes': `${30 * MB}\n`,
      'memory.stat': `inactive_file 5\ntotal_inactive_file ${10 * MB}\n`,
    },
  ],
])('the limit of a control group of %s', (_, files, group, limits) => {
  const limited = Object.fromEntries(Object.entries(limits).map(([name, text]) => [`${group}/${name}`, text]));
  expect(machine({ ...files, ...limited })).toEqual({ available: 60 * MB, total: 80 * MB });
});

it('the tightest of nested groups counts, and nothing is left of one that is full', () => {
  const inner = '/sys/fs/cgroup/a/b';
  const files = { '/proc/self/cgroup': '0::/a/b\n', [`${inner}/memory.max`]: `${50 * MB}`, [`${inner}/memory.current`]: `${10 * MB}` };
  const outer = { '/sys/fs/cgroup/a/memory.max': `${90 * MB}`, '/sys/fs/cgroup/a/memory.current': `${70 * MB}` };
  expect(machine({ ...files, ...outer })).toEqual({ available: 20 * MB, total: 50 * MB });
  expect(machine({ ...files, [`${inner}/memory.current`]: `${51 * MB}` }).available).toBe(0);
});

it.each<[string, Files]>([
  ['no limit', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/memory.max': 'max\n' }],
  ['a limit above what is free', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/memory.max': '9223372036854771712\n' }],
  ['no control groups', {}],
])('%s: the memory of the machine', (_, files) => expect(machine(files)).toEqual({ available: 2 ** 32, total: os.totalmem() }));
