/** Follows a Slurm job from a command that may end at any time. */
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../protocol/error-facts.ts';
import type { Terminal } from '../show/terminal.ts';

type Say = (text: string) => void;

/** Milliseconds between two queries to Slurm, whose controller serves a whole cluster. */
const POLL_MS = 3000;

/**
 * Calls `look` repeatedly until it finds that the job has ended. A repeated text is shown once.
 * @returns false if a signal ended the wait before the job ended
 */
export async function untilEnded({ say: show }: Terminal, look: (say: Say) => Promise<boolean>): Promise<boolean> {
  const left = new AbortController();
  const leave = (): void => left.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, leave);
  let said = '';
  const say: Say = text => {
    if (text !== said) show('info', text);
    said = text;
  };
  try {
    while (!left.signal.aborted) {
      if (await look(say)) return true;
      await delay(POLL_MS, undefined, { signal: left.signal }).catch(() => undefined);
    }
    return false;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, leave);
  }
}

/** Reports that Slurm does not answer; the query will be repeated. */
export const silent =
  (say: Say) =>
  (error: unknown): 'unknown' => {
    say(`Slurm does not answer (${messageOf(error)}); trying again`);
    return 'unknown';
  };
