/** How models with positions in two dimensions divide the pairs of features that rotate (`mrope_section`). */

import { z } from 'zod';
import { elementAt } from '../../../../narrow.ts';
import type { ConfigJson } from '../../../config-json.ts';
import type { ConfigProblem } from '../../../model-spec.ts';

/** How pairs of features are divided among time, row and column. */
export interface GridSections {
  /** The default number of pairs of each. */
  readonly sections: readonly number[];
  /** True if neighboring pairs take turns; otherwise those of each follow each other. */
  readonly isInterleaved: boolean;
}

const sectionsForm = z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative(), z.number().int().nonnegative()]);

/**
 * For each pair of features, 0 if it rotates by time, 1 by row, 2 by column; another number of entries if the sections do not fit. As in
 * Transformers, pairs that take turns beyond the sections of rows and columns rotate by time.
 */
export function axesOf({ mrope_section: found }: ConfigJson, { sections: usual, isInterleaved }: GridSections, pairs: number): number[] {
  const parsed = sectionsForm.safeParse(found ?? usual);
  if (!parsed.success) return [];
  const sections = parsed.data;
  if (!isInterleaved) return sections.flatMap((count, axis) => Array<number>(count).fill(axis));
  return Array.from({ length: pairs }, (_, pair) => (pair < 3 * elementAt(sections, pair % 3) ? pair % 3 : 0));
}

export const sectionProblem = (key: string, found: unknown, pairs: number): ConfigProblem => ({
  kind: 'invalid',
  path: [key, 'mrope_section'],
  message: `${key}.mrope_section ${JSON.stringify(found)} must be three counts of the ${pairs} rotated pairs of features: time, row, column`,
});
