/** Reads untrusted files in a process with a time limit, for commands that run in this process. */
import { type AskReader, Reader } from '../reader/reader.ts';

/** The default time limit: users of a terminal wait longer than those of an editor; planning the largest models takes about ten seconds. */
const TIMEOUT_MS = 120_000;

/** @param timeoutMs the limit per request; defaults to the time that the largest models need */
export async function withReader<T>(work: (reader: AskReader) => Promise<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
  const reader = new Reader({ budget: { timeoutMs } });
  try {
    return await work(reader);
  } finally {
    reader.close();
  }
}
