/** Waiting in tests: polls to a deadline, and says how long it waited. */

/** Polls until it holds. @throws Error naming what did not come */
export async function until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 90_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
