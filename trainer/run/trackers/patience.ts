/** A limit on how long an answer is waited for, counted in time in which this process could have heard it. */

/** Ticks of the timer in a limit. A step of training keeps the thread: however long it takes, it counts as one tick. */
const TICKS = 60;

export interface Patience {
  /** Begins to count anew: there was a sign of the other side. */
  readonly renew: () => void;
  readonly stop: () => void;
}

/** @param onEnd is called once, when the time has passed without a sign */
export function startPatience(limitMs: number, onEnd: () => void): Patience {
  let ticks = 0;
  const timer = setInterval(() => {
    if (++ticks < TICKS) return;
    clearInterval(timer);
    onEnd();
  }, limitMs / TICKS).unref();
  return {
    renew: () => {
      ticks = 0;
    },
    stop: () => clearInterval(timer),
  };
}
