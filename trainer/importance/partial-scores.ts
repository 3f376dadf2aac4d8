/** Preliminary scores: a file next to the final one, written from time to time while scores are computed, for display. */
import { rm } from 'node:fs/promises';
import type { RowsOf, Scores } from '../selection.ts';
import { type ScoresOrigin, saveScores } from './scores-file.ts';

export interface PartialScores {
  /** Checked before the scores are read for it, which may be slow. */
  isDue(): boolean;
  /** Replaces the previous file; `scores` may lack modules. */
  save(scores: Scores): Promise<void>;
  /** Removes the file, when the scores are complete or never will be. */
  remove(): Promise<void>;
}

/** The path of the preliminary scores of a file. */
export const partialPath = (file: string): string => `${file}.partial`;

/** Interval at which the display is updated. */
const INTERVAL_MS = 1000;
/** Maximum share of the time spent on writing; large models are written less often. */
const TIME_SHARE = 0.03;

/** @param file for the complete scores */
export function partialScores(file: string, units: readonly RowsOf[], origin: ScoresOrigin): PartialScores {
  const partial = partialPath(file);
  let dueMs = performance.now() + INTERVAL_MS;
  return {
    isDue: () => performance.now() >= dueMs,
    async save(scores) {
      const startedMs = performance.now();
      await saveScores(partial, { scores }, origin, units);
      const endedMs = performance.now();
      dueMs = endedMs + Math.max(INTERVAL_MS, (endedMs - startedMs) / TIME_SHARE);
    },
    async remove() {
      await rm(partial, { force: true });
      await rm(`${partial}.json`, { force: true });
    },
  };
}
