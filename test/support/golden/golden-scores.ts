/** Scores of rows in the form that the reference scripts write: their norm, and the score of every eleventh row. */
import { expect } from 'vitest';
import { z } from 'zod';
import type { ModuleSpec } from '../../../trainer/model/module-specs.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';

const numbersForm = z.tuple([z.number()], z.number());

/** Scores by module and measure. */
export const scoresForm = z.record(z.string(), z.record(z.string(), numbersForm));

/**
 * Expects each module's scores to match the reference. @param count number of rows that the reference lists @param smallest the remainder
 * of sums that cancel
 */
export function expectScores(
  modules: readonly ModuleSpec[],
  scores: ReadonlyMap<string, Float32Array>,
  reference: (module: ModuleSpec) => z.infer<typeof numbersForm> | undefined,
  { count, smallest = 0 }: { readonly count: number; readonly smallest?: number },
): void {
  const wrong = modules.flatMap(module => {
    const want = required(reference(module), `the reference of ${module.name}`);
    const own = valueFor(scores, module.name);
    const got = [Math.hypot(...own), ...[...own].filter((_, row) => row % 11 === 0).slice(0, count)];
    const far = got.some((value, i) => !(Math.abs(value - (want[i] ?? Number.NaN)) <= 2e-4 * want[0] + smallest));
    return far || got.length !== want.length ? [`${module.name}: ${got.join(' ')}; expected ${want.join(' ')}`] : [];
  });
  expect(wrong).toEqual([]);
}
