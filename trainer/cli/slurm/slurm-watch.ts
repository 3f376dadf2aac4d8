/** Follows a Slurm job from a command that may end at any time. */
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../protocol/error-facts.ts';
import type { Terminal } from '../show/terminal.ts';

type Say = (text: string) => void;

/** Maximum delay in milliseconds between two queries to Slurm, whose controller serves a whole cluster. */
const POLL_MS = 3000;
/** First delay, which then doubles: a job that was just stopped ends soon. */
const FIRST_POLL_MS = 500;

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
    for (let pauseMs = FIRST_POLL_MS; !left.signal.aborted; pauseMs = Math.min(2 * pauseMs, POLL_MS)) {
      if (await look(say)) return true;
      await delay(pauseMs, undefined, { signal: left.signal }).catch(() => undefined);
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
