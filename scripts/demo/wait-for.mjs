/** Runs a program that handles Ctrl-C itself. */
import { spawnSync } from 'node:child_process';

/**
 * Runs a program and waits for its end. Ctrl-C reaches the program directly, which decides what to do. @returns {number} its exit status
 */
export function waitFor(program, args, options = {}) {
  // Without a listener, Node's default reaction to SIGINT would end this process while it waits.
  const ignoreSignal = () => undefined;
  process.on('SIGINT', ignoreSignal);
  try {
    return spawnSync(program, args, { stdio: 'inherit', ...options }).status ?? 1;
  } finally {
    process.off('SIGINT', ignoreSignal);
  }
}
