/** Reads what strangers made in a process that is stopped within a budget, for commands that run in this one. */
import { type AskReader, Reader } from '../reader/reader.ts';

/** Whoever typed a command waits longer than an editor: the plans of the largest models take some ten seconds. */
const TIMEOUT_MS = 120_000;

/** @param timeoutMs for one request; left out, as long as anything of the largest models takes */
export async function withReader<T>(work: (reader: AskReader) => Promise<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
  const reader = new Reader({ budget: { timeoutMs } });
  try {
    return await work(reader);
  } finally {
    reader.close();
  }
}
