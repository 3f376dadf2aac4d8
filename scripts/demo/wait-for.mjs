/** Runs a program that Ctrl-C is meant for. */
import { spawnSync } from 'node:child_process';

/** Ctrl-C reaches the program by itself, and this process waits for what it makes of it. @returns {number} its exit status */
export function waitFor(program, args, options = {}) {
  // Without a listener Node's own answer to SIGINT ends this process while it waits.
  const leaveIt = () => undefined;
  process.on('SIGINT', leaveIt);
  try {
    return spawnSync(program, args, { stdio: 'inherit', ...options }).status ?? 1;
  } finally {
    process.off('SIGINT', leaveIt);
  }
}
