/** Sorts the rows of all modules between frames: 24 million rows take seconds, and no frame may wait that long. */
import type { CellScores, SetScores } from '../score-store.ts';

/** Sorting time per 16 ms frame, in ms. */
const SLICE_MS = 6;
/** Interval between progress updates, in ms. */
const SHOW_MS = 200;

export interface OrderQueue {
  /** Sorts the modules of these sets that are not sorted yet; calls `onProgress` at intervals and at the end. */
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
