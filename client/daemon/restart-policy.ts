/** How often something that dies is started again before it is left alone. */

/** A crash on every start is over in seconds; one that comes every few minutes is worth another start. */
const MAX_RESTARTS = 3;
const WITHIN_MS = 3 * 60_000;

export interface RestartPolicy {
  /** One more death at this time; whether to start again. */
  allows(nowMs: number): boolean;
  /** The user started it: what was is forgotten. */
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
