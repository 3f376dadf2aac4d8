/** A time limit for answers that only counts time in which this process could have received one. */

/** Number of timer ticks in a limit. A training step blocks the thread, so it counts as one tick however long it takes. */
const TICKS = 60;

export interface AnswerTimeout {
  /** Restarts the limit after a sign of life. */
  readonly renew: () => void;
  readonly stop: () => void;
}

/** Starts a limit. @param onEnd is called once, when the time has passed without a sign of life */
export function startAnswerTimeout(limitMs: number, onEnd: () => void): AnswerTimeout {
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
