/**
 * All rules between settings that depend only on the recipe. To add one, add an entry to the table of its topic; the parser runs all rules.
 */
import { dataRules } from './data-rules.ts';
import { distillationRules } from './distillation-rules.ts';
import { embeddingRules } from './embedding-rules.ts';
import { evaluationRules } from './evaluation-rules.ts';
import { generationRules } from './generation-rules.ts';
import { ignoredRules } from './ignored-rules.ts';
import { methodRules } from './method-rules.ts';
import { preferenceRules } from './preference-rules.ts';
import { processRules } from './process-rules.ts';
import type { Rule } from './rule.ts';
import { scheduleRules } from './schedule-rules.ts';
import { sweepRules } from './sweep-rules.ts';

export const recipeRules: readonly Rule[] = [
  ...methodRules,
  ...scheduleRules,
  ...dataRules,
  ...embeddingRules,
  ...preferenceRules,
  ...distillationRules,
  ...evaluationRules,
  ...generationRules,
  ...sweepRules,
  ...processRules,
  ...ignoredRules,
];
