/** The processes that read untrusted files: they are stopped within their budget, restarted, and end with the process that started them. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Reader, type ReaderOptions } from '../../trainer/reader/reader.ts';
import { READER, until } from '../support/daemon/daemon.ts';
import { makeLargeModel } from '../support/models/large-model.ts';
import { makeTinyTask } from '../support/runs/tiny-task.ts';

const { folder } = makeTinyTask();
const model = join(folder, 'model');
const large = mkdtempSync(join(tmpdir(), 'rowtune-large-'));
const readers: Reader[] = [];

beforeAll(() => makeLargeModel(large));
afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});
afterAll(() => {
  for (const each of [folder, large]) rmSync(each, { recursive: true, force: true });
});

function open(options: Omit<ReaderOptions, 'script'> = {}): Reader {
  const reader = new Reader({ script: READER, ...options });
  readers.push(reader);
  return reader;
}

const describeIt = (reader: Reader, path = model) => reader.ask('describe', { model: path }, `Reading ${path}`);
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('answers come in order from a process that stays, and errors keep their names and fields', async () => {
  const reader = open();
  const found = await describeIt(reader);
  expect(found).toMatchObject({ family: 'llama', parameters: expect.any(Number) });
  const [first] = reader.pids;
  writeFileSync(join(folder, 'broken.gguf'), 'GGUF');
  await expect(describeIt(reader, join(folder, 'broken.gguf'))).rejects.toMatchObject({
    name: 'ModelFileError',
    file: join(folder, 'broken.gguf'),
    problems: [expect.anything()],
  });
  expect(await describeIt(reader)).toEqual(found);
  expect(reader.pids).toEqual([first]);
});

test('a read that takes too long is stopped and named, and the next request is answered', async () => {
  const hurried = open({ budget: { timeoutMs: 1 } });
  await expect(describeIt(hurried, large)).rejects.toMatchObject({
    name: 'ReadStopped',
    message: expect.stringMatching(/^Reading .* (took longer than 0\.001 s and was stopped|was stopped, because this machine is busy)/),
  });
  await until(() => hurried.pids.every(pid => !isAlive(pid)), 'the end of the stopped process');
  expect(await describeIt(open())).toMatchObject({ family: 'llama' });
});

test('a read that waits for a busy machine is stopped too, and its file is not blamed', async () => {
  const reader = open({ budget: { timeoutMs: 50 } });
  await describeIt(reader).catch(() => undefined);
  const asked = describeIt(reader);
  for (const pid of reader.pids) process.kill(pid, 'SIGSTOP');
  await expect(asked).rejects.toMatchObject({ name: 'ReadStopped', message: expect.stringContaining('busy or its disk is slow') });
});

test.each([
  ['memory', { memoryBytes: 2 ** 20 }],
  ['heap', { heapBytes: 16 * 2 ** 20 }],
] as const)('what takes too much %s ends its process, and is named', async (_, budget) => {
  const text = JSON.stringify({ model: { vocab: Object.fromEntries(Array.from({ length: 400_000 }, (_, id) => [`token-${id}`, id])) } });
  writeFileSync(join(large, 'tokenizer.json'), text);
  const file = join(large, 'config.json');
  const config = { text: '{"architectures": ["LlamaForCausalLM"]}', file, cacheDir: folder };
  const reader = open({ budget });
  await expect(reader.ask('lintConfig', config, `Checking ${file}`)).rejects.toMatchObject({
    name: 'ReadStopped',
    message: expect.stringMatching(/^Checking .* took more than .* of memory and was stopped\. The file is damaged/),
  });
  expect(reader.pids).toEqual([]);
});

test('a process that was killed from outside is replaced', async () => {
  const reader = open();
  await describeIt(reader);
  const [first = 0] = reader.pids;
  process.kill(first, 'SIGKILL');
  await until(() => !isAlive(first), 'the end of the process');
  expect(await describeIt(reader)).toMatchObject({ family: 'llama' });
  expect(reader.pids).not.toContain(first);
});

test('while a process is stuck, another one answers', async () => {
  const reader = open();
  const found = await describeIt(reader);
  const [first = 0] = reader.pids;
  process.kill(first, 'SIGSTOP');
  const stuck = describeIt(reader);
  expect(await describeIt(reader)).toEqual(found);
  expect(reader.pids).toEqual([first, expect.any(Number)]);
  process.kill(first, 'SIGCONT');
  expect(await stuck).toEqual(found);
});

test('a request is refused if too many others wait', async () => {
  const reader = open({ maxWaiting: 1 });
  const answers = await Promise.allSettled(Array.from({ length: 3 }, () => describeIt(reader)));
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  expect(answers[2]).toMatchObject({
    reason: { message: `Reading ${model} was not started, because 1 files wait to be read. Try again later.` },
  });
});

test('a process that works ends when its parent is killed', async () => {
  const code = `
    const { fork } = require('node:child_process');
    const child = fork(${JSON.stringify(READER)}, [String(2 ** 40)], { serialization: 'advanced' });
    const ask = () => child.send({ name: 'lintConfig', params: { text: '{"architectures":["X"]}', file: ${JSON.stringify(join(large, 'config.json'))}, cacheDir: '' } });
    child.on('message', ask);
    ask();
    console.log(child.pid);`;
  const parent = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>(resolve => parent.stdout.once('data', (data: Buffer) => resolve(Number(String(data)))));
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isAlive(pid), 'the end of the orphan');
});
