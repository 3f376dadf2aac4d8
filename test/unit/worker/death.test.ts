/** Tests why a worker died: memory is blamed only if the kernel or the figures say so. */
import { expect, it } from 'vitest';
import { isOutOfMemory, watchMemory } from '../../../trainer/worker/memory-evidence.ts';
import { explainDeath, type WorkerOutcome } from '../../../trainer/worker/worker-process.ts';

const killed: WorkerOutcome = { status: null, signal: 'SIGKILL', lines: [] };
const memory = { oomKills: 0, rssBytes: 1e9, limitBytes: 16e9 };

it.each([
  ['a kill from outside', { ...killed, memory }, 'worker-killed'],
  ['a kill where nothing was watched', killed, 'worker-killed'],
  ['a kill that the kernel counted', { ...killed, memory: { ...memory, oomKills: 1 } }, 'out-of-memory'],
  ['a kill with nearly all memory taken', { ...killed, memory: { ...memory, rssBytes: 15e9 } }, 'out-of-memory'],
  ['an allocation that failed', { status: 134, signal: null, lines: ['terminate called: std::bad_alloc'], memory }, 'out-of-memory'],
  ['a crash', { status: null, signal: 'SIGSEGV', lines: ['last words'], memory }, 'worker-died'],
] as const)('%s', (_, outcome, code) => expect(explainDeath(outcome).code).toBe(code));

it('the hint for a job that writes text is to hold its weights in fewer bits, and that for a training to take smaller batches', () => {
  const heapFull = { ...killed, lines: ['JavaScript heap out of memory'] };
  expect(explainDeath({ ...heapFull, kind: 'generate' }).hint).toMatch(/--quantize nf4/);
  expect(explainDeath({ ...heapFull, kind: 'train' }).hint).toMatch(/per_device_train_batch_size/);
});

/** A simulated kernel whose files are texts. */
function watched(files: Record<string, string>) {
  const watch = watchMemory({ pid: 7, readText: file => files[file] ?? '', totalBytes: 16e9 });
  watch.stop();
  return { watch, files };
}

it.each([
  ['version 2', '0::/user.slice\n', '/sys/fs/cgroup/user.slice/memory.events', '/sys/fs/cgroup/user.slice/memory.max'],
  ['version 2 in a container', '0::/\n', '/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory.max'],
  ['version 1', '4:memory:/job\n0::/\n', '/sys/fs/cgroup/memory/job/memory.oom_control', '/sys/fs/cgroup/memory/job/memory.limit_in_bytes'],
])('reads control groups of %s', (_, group, events, limit) => {
  const { watch, files } = watched({
    '/proc/self/cgroup': group,
    [events]: 'low 0\noom_kill 2\n',
    [limit]: '4000000000\n',
    '/proc/vmstat': 'oom_kill 9',
  });
  expect(watch.evidence()).toEqual({ oomKills: 0, rssBytes: 0, limitBytes: 4e9 });
  files[events] = 'low 0\noom_kill 3\n';
  expect(watch.evidence().oomKills).toBe(1);
});

it("falls back to the machine's counters, and reads the resident memory", () => {
  const { watch, files } = watched({ '/proc/vmstat': 'oom_kill 4\n', '/proc/7/status': 'VmPeak:\t 9 kB\nVmRSS:\t 1000 kB\n' });
  files['/proc/vmstat'] = 'oom_kill 5\n';
  expect(watch.evidence()).toEqual({ oomKills: 1, rssBytes: 1_024_000, limitBytes: 16e9 });
});

it('finds nothing without these files', () => expect(isOutOfMemory(watched({}).watch.evidence())).toBe(false));
