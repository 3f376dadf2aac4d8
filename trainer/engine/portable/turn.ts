/** tfjs has one current backend per process, so its users take turns. */
import { getBackend, setBackend } from '@tensorflow/tfjs-core';
import { turns } from '../../machine/turns.ts';

export const inTurn = turns();

/** Runs `work` alone, with `backend` as the current backend. */
export const withBackend = <T>(backend: string, work: () => Promise<T>): Promise<T> =>
  inTurn(async () => {
    if (getBackend() !== backend) await setBackend(backend);
    return work();
  });
