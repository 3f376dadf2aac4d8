/** Scores rows with the loss of an objective. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { runInProcess } from './run-in-process.ts';

export interface ScoredRowsParams {
  /** The folder of the score file. */
  readonly folder: string;
  readonly context: JobContext;
  readonly recipe: (...overrides: string[]) => Recipe;
  readonly measures: readonly string[];
}

/** Expects each measure to score the rows with eight samples. */
export async function expectScoredRows({ folder, context, recipe, measures }: ScoredRowsParams): Promise<void> {
  const outputFile = join(folder, 'scores.safetensors');
  for (const measure of measures) {
    const scored = recipe(`importance.measure=${measure}`, 'importance.samples=8');
    const { value } = await runInProcess({ kind: 'importance', recipe: scored, outputFile, context });
    expect(value.samples).toBe(8);
    expect(readFileSync(outputFile).length).toBeGreaterThan(0);
  }
}
