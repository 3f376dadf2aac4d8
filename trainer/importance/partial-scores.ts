/** Scores while they are computed: a file next to the final one, written now and then, for those who watch. */
import { rm } from 'node:fs/promises';
import type { RowsOf, Scores } from '../selection.ts';
import { type ScoresOrigin, saveScores } from './scores-file.ts';

export interface PartialScores {
  /** Asked before scores are read for it, which may cost. */
  isDue(): boolean;
  /** Replaces what was written before; `scores` may lack modules. */
  save(scores: Scores): Promise<void>;
  /** When they are complete, or never will be. */
  remove(): Promise<void>;
}

/** The path of the scores of a file until they are complete. */
export const partialPath = (file: string): string => `${file}.partial`;

/** Often enough to see them grow. */
const INTERVAL_MS = 1000;
/** The share of the time that writing may take: large models are written more rarely. */
const TIME_SHARE = 0.03;

/** @param file where the complete scores will lie */
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
