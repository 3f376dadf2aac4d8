/** Tests the daemon's records: events, lines of files, its log, job records, and the lock on its folder. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { claimName } from '../../../trainer/machine/process-lock.ts';
import { type JobRecord, MAX_FRAME_BYTES } from '../../../trainer/protocol/messages/rpc-messages.ts';
import { MAX_SAMPLES } from '../../../trainer/protocol/view/compared-sample.ts';
import { claimStateDir, daemonOwner } from '../../../trainer/rpc/connection/claim.ts';
import { announce, type Discovery, discoveryPath, readDiscovery } from '../../../trainer/rpc/connection/discovery.ts';
import { EventRing } from '../../../trainer/rpc/connection/event-ring.ts';
import { openDaemonLog } from '../../../trainer/rpc/daemon-log.ts';
import type { KnownJob } from '../../../trainer/rpc/jobs/job-queue.ts';
import { openJobsFile, readJobs } from '../../../trainer/rpc/jobs/jobs-file.ts';
import { checkParams } from '../../../trainer/rpc/param-schemas.ts';
import { tailFile } from '../../../trainer/rpc/tail-file.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const settings = { cacheDir: '/cache', hub: { offline: true } };
const folder = (): string => makeTemporaryFolder();

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

  test('events with long texts fit in one message, whatever their characters; a longer event leaves', () => {
    const ring = new EventRing('now');
    for (let i = 0; i < 100; i++) ring.add('job', { type: 'text', chunk: '\u20ac'.repeat(500_000) });
    const all = ring.since(0, 'now');
    expect(Buffer.byteLength(JSON.stringify(all))).toBeLessThan(MAX_FRAME_BYTES);
    expect([all.complete, all.events.length > 5, all.events.at(-1)?.seq]).toEqual([false, true, 100]);
    ring.add('job', { type: 'text', chunk: 'x'.repeat(MAX_FRAME_BYTES) });
    expect(ring.since(100, 'now')).toMatchObject({ events: [], complete: false });
    ring.add('job', { type: 'text', chunk: 'y' });
    expect(ring.since(101, 'now')).toMatchObject({ events: [{ seq: 102 }], complete: true });
  });

  test('sequence numbers of an earlier daemon are unknown', () =>
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

describe('jobs.json', () => {
  const job = (id: string, change: Partial<JobRecord> = {}): JobRecord =>
    jobRecord({ id, kind: 'verify', state: 'succeeded', title: id, ...change });

  test('is none where it is missing', async () => expect(await readJobs(folder(), settings)).toEqual([]));

  test.each(['{', '{}', '[{"id":1}]'])('%j is kept under another name before a new file is written, with a warning', async text => {
    const dir = folder();
    writeFileSync(join(dir, 'jobs.json'), text);
    const said: string[] = [];
    expect(await readJobs(dir, settings, message => said.push(message))).toEqual([]);
    expect(said[0]).toContain('damaged');
    expect(readFileSync(join(dir, 'jobs.json.damaged'), 'utf8')).toBe(text);
  });

  test('one damaged record takes no other with it', async () => {
    const dir = folder();
    writeFileSync(join(dir, 'jobs.json'), JSON.stringify([job('a'), { id: 5 }, null, job('b')]));
    expect((await readJobs(dir, settings)).map(({ record }) => record.id)).toEqual(['a', 'b']);
  });

  test('an unreadable file is an error, so that it is not replaced', async () => {
    const dir = folder();
    mkdirSync(join(dir, 'jobs.json'));
    await expect(readJobs(dir, settings)).rejects.toThrow('jobs.json');
  });

  test('is for this user alone, without results, and has what was there when it was asked for', async () => {
    const dir = folder();
    const known: KnownJob[] = [];
    const file = openJobsFile(dir, () => known);
    const saves = ['a', 'b', 'c'].map(id => {
      known.push({ record: job(id, { result: 'x'.repeat(1000) }) });
      return file.save();
    });
    await Promise.all(saves);
    expect((await readJobs(dir, settings)).map(({ record }) => record.id)).toEqual(['a', 'b', 'c']);
    expect(readFileSync(join(dir, 'jobs.json'), 'utf8')).not.toContain('xxx');
    expect(statSync(join(dir, 'jobs.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['jobs.json']);
  });

  test('a failed save rejects with its reason, and later saves are still written', async () => {
    let isFull = true;
    const written: string[] = [];
    const file = openJobsFile(
      '/state',
      () => [],
      async () => {
        await Promise.resolve();
        if (isFull) throw new Error('ENOSPC: no space left on device, write');
        written.push('once');
      },
    );
    await expect(file.save()).rejects.toMatchObject({ code: 'state-unwritable', message: expect.stringContaining('ENOSPC') });
    const [during, behind] = [file.save(), file.save()];
    isFull = false;
    await Promise.allSettled([during]);
    await behind;
    expect(written.length).toBeGreaterThan(0);
  });
});

describe('the claim on a state folder', () => {
  const discovery: Discovery = { port: 1234, pid: process.pid, startedAt: 'now', token: 'a'.repeat(64), version: '0' };
  const silent = (): void => undefined;
  const dead = { pid: spawnSync(process.execPath, ['-e', '']).pid };

  test('is held once, until it is given back', async () => {
    const dir = folder();
    const release = await claimStateDir(dir, silent);
    expect(daemonOwner(dir)).toMatchObject({ pid: process.pid });
    await expect(claimStateDir(dir, silent)).rejects.toMatchObject({ code: 'daemon-running', details: { pid: process.pid } });
    release();
    expect(daemonOwner(dir)).toBeUndefined();
    (await claimStateDir(dir, silent))();
  });

  test('takes over from a dead daemon, says so, and takes away what it left', async () => {
    const dir = folder();
    mkdirSync(join(dir, 'daemon.lock'));
    writeFileSync(join(dir, 'daemon.lock', claimName(dead)), '');
    for (const name of [
      'daemon.json',
      'jobs.json',
      `jobs.json.${dead.pid}-ab12cd34.tmp`,
      `daemon.json.${dead.pid}-ab12cd34.tmp`,
      'notes.tmp',
    ])
      writeFileSync(join(dir, name), '[]');
    const said: string[] = [];
    const release = await claimStateDir(dir, message => said.push(message));
    expect(said).toEqual([expect.stringContaining(String(dead.pid))]);
    expect(readdirSync(dir).sort()).toEqual(['daemon.lock', 'jobs.json', 'notes.tmp']);
    await announce(dir, discovery);
    expect(await readDiscovery(dir)).toEqual(discovery);
    expect(statSync(discoveryPath(dir)).mode & 0o777).toBe(0o600);
    release();
  });
});

test('parameters are checked, with their place', () => {
  expect(checkParams('stopJob', 'jobs/stop', { id: 'x' })).toEqual({ id: 'x' });
  expect(() => checkParams('stopJob', 'jobs/stop', {})).toThrow('jobs/stop: id');
  expect(() => checkParams('tailRun', 'runs/tail', { runDir: 'relative', file: 'log', from: 0 })).toThrow('absolute');
  expect(() => checkParams('tailRun', 'runs/tail', { runDir: '/run', file: '../secret', from: 0 })).toThrow('file');
});

test('a sample to score is one of those that can be picked', () => {
  const options = { maxNewTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 1, chat: false, engine: 'auto' };
  const request = { id: 'x', model: 'm', revision: 'main', baseDir: '/w', adapter: '/run', prompt: 'Sample', options };
  const check = (sample: number) => checkParams('generate', 'jobs/generate', { ...request, sample });
  expect(check(MAX_SAMPLES - 1)).toMatchObject({ sample: MAX_SAMPLES - 1 });
  for (const sample of [-1, 0.5, MAX_SAMPLES]) expect(() => check(sample)).toThrow('jobs/generate: sample');
});
