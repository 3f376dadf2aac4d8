/** What the daemon keeps: events, lines of files, its log, the records of jobs, the claim on its folder. */
import { appendFileSync, mkdtempSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDaemonLog } from '../../../trainer/rpc/daemon-log.ts';
import { claimStateDir, type Discovery, discoveryPath, readDiscovery, releaseStateDir } from '../../../trainer/rpc/discovery.ts';
import { EventRing } from '../../../trainer/rpc/event-ring.ts';
import { readJobs } from '../../../trainer/rpc/jobs-file.ts';
import { checkParams } from '../../../trainer/rpc/param-schemas.ts';
import { tailFile } from '../../../trainer/rpc/tail-file.ts';

const settings = { cacheDir: '/cache', hub: { offline: true } };
const folder = (): string => mkdtempSync(join(tmpdir(), 'rowtune-keeping-'));

describe('EventRing', () => {
  const filled = (count: number, capacity: number): EventRing => {
    const ring = new EventRing('now', capacity);
    for (let i = 1; i <= count; i++) ring.add('job', { type: 'text', chunk: String(i) });
    return ring;
  };

  test.each([0, 1, 9, 10])('gives everything after %i', seq => {
    const { events, complete } = filled(10, 100).since(seq, 'now');
    expect([events.map(event => event.seq), complete]).toEqual([Array.from({ length: 10 - seq }, (_, i) => seq + 1 + i), true]);
  });

  test('says where older ones have left, and stays bounded', () => {
    const ring = filled(1000, 40);
    const { events, complete } = ring.since(0, 'now');
    expect(complete).toBe(false);
    expect(events.length).toBeLessThan(50);
    expect(events.at(-1)?.seq).toBe(1000);
    expect(ring.since(990, 'now')).toMatchObject({ complete: true, events: { length: 10 } });
  });

  test('numbers of another start mean nothing', () =>
    expect(filled(5, 10).since(2, 'before')).toEqual({ events: [], complete: false, epoch: 'now' }));
});

const at = (file: string): [string, string] => [dirname(file), basename(file)];

describe('tailFile', () => {
  test('whole lines from N on; half a line is not one yet', async () => {
    const file = join(folder(), 'log.txt');
    expect(await tailFile(...at(file), 0)).toEqual({ lines: [], next: 0, rewound: false, more: false, version: '' });
    writeFileSync(file, 'one\ntwo\nthr');
    expect(await tailFile(...at(file), 1)).toMatchObject({ lines: ['two'], next: 2, rewound: false, more: false });
    appendFileSync(file, 'ee\n');
    expect(await tailFile(...at(file), 2)).toMatchObject({ lines: ['three'], next: 3, rewound: false, more: false });
    expect(await tailFile(...at(file), 3)).toMatchObject({ lines: [], next: 3, rewound: false });
    expect(await tailFile(...at(file), 4)).toMatchObject({ lines: [], rewound: true });
  });

  test('a file that was replaced is another one, however long it has become', async () => {
    const file = join(folder(), 'metrics.jsonl');
    writeFileSync(file, 'one\ntwo\n');
    const { next, version } = await tailFile(...at(file), 0);
    appendFileSync(file, 'three\n');
    expect(await tailFile(...at(file), next, version)).toMatchObject({ lines: ['three'], rewound: false, version });
    writeFileSync(`${file}.new`, 'one\nzwei\ndrei\nvier\n');
    renameSync(`${file}.new`, file);
    const replaced = await tailFile(...at(file), 3, version);
    expect(replaced).toMatchObject({ lines: [], next: 0, rewound: true });
    expect((await tailFile(...at(file), 0, replaced.version)).lines).toEqual(['one', 'zwei', 'drei', 'vier']);
  });

  test('readers at different places of a growing file do not disturb each other; long lines are cut', async () => {
    const file = join(folder(), 'log.txt');
    writeFileSync(file, `ä\n${'x'.repeat(200_000)}\nöö\n`);
    expect((await tailFile(...at(file), 2)).lines).toEqual(['öö']);
    expect((await tailFile(...at(file), 0)).lines.map(line => line.length)).toEqual([1, 65_536, 2]);
    appendFileSync(file, 'ü\n');
    expect((await tailFile(...at(file), 3)).lines).toEqual(['ü']);
    expect((await tailFile(...at(file), 1)).lines.map(line => line.length)).toEqual([65_536, 2, 1]);
  });

  test('comes in pages', async () => {
    const file = join(folder(), 'log.txt');
    writeFileSync(file, Array.from({ length: 5000 }, (_, i) => `${i}\n`).join(''));
    const lines: string[] = [];
    for (let from = 0, more = true; more; ) {
      const page = await tailFile(...at(file), from);
      lines.push(...page.lines);
      ({ next: from, more } = page);
    }
    expect(lines).toEqual(Array.from({ length: 5000 }, (_, i) => String(i)));
  });
});

test('the log moves aside when it is full', () => {
  const dir = folder();
  const log = openDaemonLog(dir, 500);
  for (let i = 0; i < 50; i++) log.write('info', `message ${i}`);
  expect(statSync(log.path).size).toBeLessThanOrEqual(500);
  expect(statSync(`${log.path}.1`).size).toBeLessThanOrEqual(500);
  expect(readFileSync(log.path, 'utf8')).toContain('message 49');
});

test('records that can not be read are none', async () => {
  const dir = folder();
  expect(await readJobs(dir, settings)).toEqual([]);
  for (const text of ['{', '[{"id":1}]', '{}']) {
    writeFileSync(join(dir, 'jobs.json'), text);
    expect(await readJobs(dir, settings)).toEqual([]);
  }
});

describe('the claim on a state folder', () => {
  const discovery = (digit: string): Discovery => ({ port: 1234, pid: 1, startedAt: 'now', token: digit.repeat(64), version: '0' });
  const silent = (): void => undefined;

  test('of two at once, one wins', async () => {
    const dir = folder();
    const claims = ['a', 'b', 'c'].map(digit => claimStateDir(dir, discovery(digit), async () => true, silent));
    const outcomes = (await Promise.allSettled(claims)).map(({ status }) => status);
    expect(outcomes.sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
  });

  test('a stale or broken file is taken over and said so; the file of another is not taken away', async () => {
    const dir = folder();
    for (const text of [JSON.stringify(discovery('a')), '{"port":']) {
      writeFileSync(discoveryPath(dir), text);
      const said: string[] = [];
      await claimStateDir(
        dir,
        discovery('b'),
        async () => false,
        message => said.push(message),
      );
      expect(said).toHaveLength(1);
      expect((await readDiscovery(dir))?.token).toBe('b'.repeat(64));
    }
    await releaseStateDir(dir, discovery('c'));
    expect(await readDiscovery(dir)).toBeDefined();
    await releaseStateDir(dir, discovery('b'));
    expect(await readDiscovery(dir)).toBeUndefined();
  });
});

test('parameters are checked, with their place', () => {
  expect(checkParams('stopJob', 'jobs/stop', { id: 'x' })).toEqual({ id: 'x' });
  expect(() => checkParams('stopJob', 'jobs/stop', {})).toThrow('jobs/stop: id');
  expect(() => checkParams('tailRun', 'runs/tail', { runDir: 'relative', file: 'log', from: 0 })).toThrow('absolute');
  expect(() => checkParams('tailRun', 'runs/tail', { runDir: '/run', file: '../secret', from: 0 })).toThrow('file');
});
