/** Calls a function at once, then at most once per interval; the last call is never dropped. */
export interface Throttled {
  readonly call: () => void;
  dispose(): void;
}

/** @param intervalMs called every time, because the setting may change */
export function throttle(work: () => void, intervalMs: () => number): Throttled {
  let timer: NodeJS.Timeout | undefined;
  let isDue = false;
  const run = (): void => {
    isDue = false;
    timer = setTimeout(() => {
      timer = undefined;
      if (isDue) run();
    }, intervalMs());
    work();
  };
  return {
    call: () => {
      isDue = true;
      if (timer === undefined) run();
    },
    dispose: () => clearTimeout(timer),
  };
}
