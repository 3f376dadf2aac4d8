/** tfjs has one current backend a process, so sessions of different backends take turns. */
import { getBackend, setBackend } from '@tensorflow/tfjs-core';

let previous: Promise<unknown> = Promise.resolve();

/** Runs `work` alone, with `backend` current. Work queued before runs first, whether or not it failed. */
export function takeTurn<T>(backend: string, work: () => Promise<T>): Promise<T> {
  const mine = previous.then(async () => {
    if (getBackend() !== backend) await setBackend(backend);
    return work();
  });
  previous = mine.catch(() => undefined);
  return mine;
}
