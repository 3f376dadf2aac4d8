/** Sorts the rows of all modules between frames: 24 million rows take seconds, and no frame may wait for them. */
import type { CellScores, SetScores } from '../score-store.ts';

/** Time budget in ms of a 16 ms frame. */
const SLICE_MS = 6;
/** Interval in ms between two progress updates. */
const SHOW_MS = 200;

export interface OrderQueue {
  /** Starts with the modules of these sets whose order is unknown; calls `onProgress` at intervals and at the end. */
  start(sets: readonly SetScores[]): void;
  readonly isBusy: boolean;
}

export function createOrderQueue(onProgress: () => void): OrderQueue {
  let waiting: CellScores[] = [];
  let isBusy = false;
  let shownMs = 0;

  function slice(): void {
    const startedMs = performance.now();
    while (waiting.length > 0 && performance.now() - startedMs < SLICE_MS) void waiting.pop()?.ranks;
    isBusy = waiting.length > 0;
    if (!isBusy || startedMs - shownMs > SHOW_MS) {
      shownMs = startedMs;
      onProgress();
    }
    if (isBusy) requestAnimationFrame(slice);
  }

  return {
    start(sets) {
      waiting = sets.flatMap(set => [...set.values()].filter(cell => !cell.isOrdered)).reverse();
      if (isBusy || waiting.length === 0) return;
      isBusy = true;
      shownMs = performance.now();
      requestAnimationFrame(slice);
    },
    get isBusy() {
      return isBusy;
    },
  };
}
