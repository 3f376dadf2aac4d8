/** A thread that tokenizes records or scans segments of files; it answers requests in order. */
import { parentPort, workerData } from 'node:worker_threads';
import { DataError } from '../data-error.ts';
import type { ThreadAnswer, ThreadData, ThreadRequest } from './thread-messages.ts';
import { threadWork } from './thread-work.ts';

// Only `inThreads` starts this thread, and it passes nothing else.
const data = workerData as ThreadData;
const work = threadWork(data);

function answer(request: ThreadRequest): ThreadAnswer {
  const { id } = request;
  try {
    return { id, made: work(request) };
  } catch (error) {
    if (error instanceof DataError) return { id, problem: { ...error.place, problem: error.problem, advice: error.advice } };
    return { id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on('message', (request: ThreadRequest) => {
  const found = answer(request);
  const values: unknown[] = 'made' in found ? Object.values(found.made) : [];
  const moved = values.flatMap(value => (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? [value.buffer] : []));
  parentPort?.postMessage(found, moved);
});
