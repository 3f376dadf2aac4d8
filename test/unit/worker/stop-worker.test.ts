/** Tests that a worker that should end does: it obeys, or it is killed; and nothing that it sends or leaves behind delays its parent. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { isRunning } from '../../../trainer/machine/process-identity.ts';
import type { JobRequest } from '../../../trainer/protocol/messages/job-messages.ts';
import type { StopTimes } from '../../../trainer/worker/stop-worker.ts';
import { startWorkerProcess, type WorkerProcess } from '../../../trainer/worker/worker-process.ts';
import { until } from '../../support/machine/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-stop-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const request: JobRequest = { kind: 'doctor', engine: 'portable', context: { cacheDir: folder, baseDir: folder, hub: { offline: true } } };
const QUICK: StopTimes = { silence: 0.3, save: 1, ask: 0.3, terminate: 0.3 };
const LONG: StopTimes = { silence: 600, save: 600, ask: 600, terminate: 600 };

interface Started {
  readonly worker: WorkerProcess;
  readonly lines: string[];
  readonly events: unknown[];
}

let count = 0;
/** @param body the worker's reaction to its first message; `say` sends an event. The worker is ready when its first line has arrived. */
async function start(body: string, stopTimes: StopTimes): Promise<Started> {
  const workerFile = join(folder, `worker-${count++}.mjs`);
  writeFileSync(
    workerFile,
    `import { spawn } from 'node:child_process';
     const say = event => process.send(event);
     const told = [];
     process.on('message', message => (told.push(message), onMessage(message)));
     const ready = () => console.log('ready');
     let onMessage = () => undefined;
     ${body}`,
  );
  const [lines, events]: [string[], unknown[]] = [[], []];
  const worker = startWorkerProcess({
    request,
    threads: 1,
    workerFile,
    stopTimes,
    onEvent: event => events.push(event),
    onLine: line => lines.push(line),
  });
  await until(() => lines.includes('ready'), 'it is ready');
  return { worker, lines, events };
}

/** Receives the request, then handles neither messages nor signals. */
const STUCK = "process.on('SIGTERM', () => undefined); process.once('message', () => { ready(); setTimeout(() => { for (;;); }, 50); });";
const DEAF = "process.on('SIGTERM', () => process.exit(3)); ready(); setInterval(() => undefined, 1000);";
const CHATTY = "ready(); setInterval(() => say({ type: 'log', level: 'info', message: 'still at it' }), 20);";

test.each(['stop', 'abort'] as const)('%s kills a worker that is stuck in a computation', async what => {
  const { worker } = await start(STUCK, QUICK);
  worker[what]();
  expect(await worker.ended).toMatchObject({ signal: 'SIGKILL', last: undefined });
});

test.each(['stop', 'abort'] as const)('%s sends SIGTERM to a worker that ignores the message', async what => {
  const { worker } = await start(DEAF, { ...QUICK, terminate: 600 });
  worker[what]();
  expect(await worker.ended).toMatchObject({ status: 3, signal: null });
});

test('a worker that reports progress gets more time than a silent one', async () => {
  const body = `let left = 150;
     onMessage = ({ type }) => type === 'stop' && setInterval(() => left-- > 0 ? say({ type: 'text', chunk: 'x' }) : process.exit(0), 20);
     ready();`;
  const { worker, events } = await start(body, { ...LONG, silence: 1.5 });
  worker.stop();
  expect(await worker.ended).toMatchObject({ status: 0 });
  expect(events).toHaveLength(150);
});

test('a worker that never ends is stopped despite its output', async () => {
  const { worker } = await start(CHATTY, QUICK);
  worker.stop();
  expect(await worker.ended).toMatchObject({ signal: 'SIGTERM' });
});

test('a worker that saves and ends is not killed', async () => {
  const body =
    "ready(); onMessage = ({ save }) => save && (say({ type: 'result', value: 'saved' }), setTimeout(() => process.exit(0), 50));";
  const { worker } = await start(body, LONG);
  worker.stop();
  expect(await worker.ended).toMatchObject({ last: { type: 'result', value: 'saved' }, status: 0 });
});

test('a child process that keeps the output open ends with its worker', async () => {
  const { worker, lines } = await start(
    `const child = spawn('sleep', ['1000'], { stdio: 'inherit' });
     child.once('spawn', () => (console.log('pid ' + child.pid), ready()));
     onMessage = message => message.type === 'stop' && process.exit(0);`,
    LONG,
  );
  const pid = Number(lines.find(line => line.startsWith('pid '))?.slice(4));
  expect(isRunning({ pid })).toBe(true);
  worker.abort();
  expect(await worker.ended).toMatchObject({ status: 0 });
  await until(() => !isRunning({ pid }), 'the other one has ended');
});

test('output that is no event is ignored, and an endless line is cut', async () => {
  const odd = [
    'null',
    '5',
    "'x'",
    '[]',
    '{}',
    "{ type: 'nothing' }",
    "{ type: 'metrics' }",
    "{ type: 'failed', code: 1 }",
    "{ type: 'log', level: 'x' }",
  ];
  const { worker, events, lines } = await start(
    `for (const event of [${odd.join()}]) say(event);
     say({ type: 'phase', name: 'load', message: 'x' });
     process.stdout.write('y'.repeat(3_000_000) + '\\nready\\n');
     setTimeout(() => say({ type: 'result', value: 1 }, process.disconnect()), 10);`.replace(', process.disconnect()', ''),
    LONG,
  );
  await until(() => events.length > 0, 'an event');
  worker.abort();
  worker.kill();
  await worker.ended;
  expect(events).toEqual([{ type: 'phase', name: 'load', message: 'x' }]);
  expect(lines.map(({ length }) => length)).toEqual([16_386, 'ready'.length]);
});
