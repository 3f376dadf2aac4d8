/**
 * Rules between settings that depend only on the recipe. To add one, add an entry to the table of its topic; the parser
 * runs them all.
 */
import { dataRules } from './recipe/data-rules.ts';
import { distillationRules } from './recipe/distillation-rules.ts';
import { embeddingRules } from './recipe/embedding-rules.ts';
import { evaluationRules } from './recipe/evaluation-rules.ts';
import { generationRules } from './recipe/generation-rules.ts';
import { ignoredRules } from './recipe/ignored-rules.ts';
import { methodRules } from './recipe/method-rules.ts';
import { preferenceRules } from './recipe/preference-rules.ts';
import { processRules } from './recipe/process-rules.ts';
import type { Rule } from './recipe/rule.ts';
import { scheduleRules } from './recipe/schedule-rules.ts';
import { sweepRules } from './recipe/sweep-rules.ts';

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
