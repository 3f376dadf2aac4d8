/** Limits how often a process that dies is restarted. */

/**
 * Number of restarts: a process that crashes on every start is given up within seconds, and one that crashes every few minutes is
 * restarted.
 */
const MAX_RESTARTS = 3;
const WITHIN_MS = 3 * 60_000;

export interface RestartPolicy {
  /** Records a death; returns true if the process may be restarted. */
  allows(nowMs: number): boolean;
  /** Forgets earlier deaths, because the user started the process. */
  reset(): void;
}

export function createRestartPolicy(maxRestarts = MAX_RESTARTS, withinMs = WITHIN_MS): RestartPolicy {
  let deaths: number[] = [];
  return {
    allows(nowMs) {
      deaths = [...deaths.filter(time => nowMs - time < withinMs), nowMs];
      return deaths.length <= maxRestarts;
    },
    reset() {
      deaths = [];
    },
  };
}
