/** Retrying, because an editor under load loses keys and clicks. */

/** Time limit for the editor's own actions; tests of a training set their own. */
export const PATIENCE_MS = 120_000;

/**
 * Retries until it succeeds.
 * @param attempt called with a factor for its time limits, which doubles with each attempt
 * @throws Error that names what did not happen
 */
export async function retry(what: string, attempt: (factor: number) => Promise<void>, patienceMs = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let factor = 1; ; factor *= 2) {
    try {
      return await attempt(factor);
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`${what} did not come`, { cause });
    }
  }
}
