/** tfjs has one current backend per process, so its users take turns. */
import { getBackend, setBackend } from '@tensorflow/tfjs-core';

let previous: Promise<unknown> = Promise.resolve();

/** Runs `work` alone. Work queued before runs first, whether or not it fails. */
export function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = previous.then(work);
  previous = mine.catch(() => undefined);
  return mine;
}

/** Runs `work` alone, with `backend` as the current backend. */
export const withBackend = <T>(backend: string, work: () => Promise<T>): Promise<T> =>
  inTurn(async () => {
    if (getBackend() !== backend) await setBackend(backend);
    return work();
  });
