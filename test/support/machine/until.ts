/** Waits in tests by polling until a deadline; errors say how long they waited. */

const PAUSE_MS = 20;
/** Ratio of pause to poll duration, because a poll that starts a program or queries an editor would slow down what it waits for. */
const PAUSES_A_LOOK = 4;
/** Maximum pause: a poll that took seconds has itself waited for something, such as a page that opens. */
const MAX_PAUSE_MS = 1000;

/** Polls until the condition holds. @throws Error that names what did not happen */
export async function until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 90_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const begin = performance.now();
    if (await holds()) return;
    const now = performance.now();
    if (now > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    const pauseMs = Math.min(PAUSES_A_LOOK * (now - begin), MAX_PAUSE_MS, deadline - now);
    await new Promise(resolve => setTimeout(resolve, Math.max(PAUSE_MS, pauseMs)));
  }
}
