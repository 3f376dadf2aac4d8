/** Waiting in tests: polls to a deadline, and says how long it waited. */

const PAUSE_MS = 20;
/** Pauses are so many times as long as a look: one that starts a program or asks an editor would keep a processor from what is waited for. */
const PAUSES_A_LOOK = 4;

/** Polls until it holds. @throws Error naming what did not come */
export async function until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 90_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const begin = performance.now();
    if (await holds()) return;
    const now = performance.now();
    if (now > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise(resolve => setTimeout(resolve, Math.max(PAUSE_MS, Math.min(PAUSES_A_LOOK * (now - begin), deadline - now))));
  }
}
