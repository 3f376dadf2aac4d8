/** The process that reads for a daemon or language server: it answers requests, or reports errors, one at a time. */
import { once } from 'node:events';
import { serialize } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { byteSize } from '../protocol/text/format.ts';
import type { ReaderAnswer } from './reader-child.ts';
import { type ReaderRequestName, readerRequests } from './reader-requests.ts';

/** Maximum size of an answer, which the caller has to hold in memory: more than the headers of any model. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20;
const CHECK_MS = 50;

/**
 * Code of a thread that watches this process, because the main thread cannot receive messages while it reads: above its memory limit, or if
 * its parent has gone, the process ends itself.
 */
const WATCH = `
const { workerData: { busy, memoryBytes, parent } } = require('node:worker_threads');
for (;;) {
  Atomics.wait(busy, 0, 0);
  if (process.memoryUsage.rss() > memoryBytes || process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  Atomics.wait(busy, 0, 1, ${CHECK_MS});
}`;

const busy = new Int32Array(new SharedArrayBuffer(4));
const watch = new Worker(WATCH, {
  eval: true,
  execArgv: [],
  workerData: { busy, memoryBytes: Number(process.argv[2]), parent: process.ppid },
});
watch.unref();
const isWatched = once(watch, 'online');

const isBusy = (value: 0 | 1): void => {
  Atomics.store(busy, 0, value);
  Atomics.notify(busy, 0);
};

async function answer(name: ReaderRequestName, params: unknown): Promise<ReaderAnswer> {
  try {
    // The table pairs each name with the function of its own parameters, which TypeScript cannot track through a variable.
    return { value: await (readerRequests[name] as (params: unknown) => unknown)(params) };
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): ReaderAnswer {
  const { name, message, stack, ...fields } = error instanceof Error ? error : new Error(String(error));
  return { error: { name, message, stack, fields: { ...fields } } };
}

function packed(found: ReaderAnswer): Buffer {
  const bytes = serialize(found);
  if (bytes.length <= MAX_ANSWER_BYTES) return bytes;
  const text = `it gives ${byteSize(bytes.length)} of names and numbers; at most ${byteSize(MAX_ANSWER_BYTES)} are used`;
  return serialize(failed(new Error(text)));
}

async function respond(name: ReaderRequestName, params: unknown): Promise<void> {
  await isWatched;
  isBusy(1);
  const bytes = packed(await answer(name, params));
  isBusy(0);
  process.send?.(bytes);
}

process.on('message', ({ name, params }: { readonly name: ReaderRequestName; readonly params: unknown }) => {
  void respond(name, params);
});
process.on('disconnect', () => process.exit());
