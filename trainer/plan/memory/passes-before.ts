/** The memory of the passes that end before training starts, each with what it loads alone. */
import type { KnownPrograms } from '../../graph/known-programs.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { PlanFacts, RunPlan } from '../run-plan.ts';
import { priceEncoder } from './price-encoder.ts';
import { priceMovement } from './price-movement.ts';
import { priceTeacher } from './price-teacher.ts';

/** Memory of one process in each pass; omitted if a run has no such pass. */
export interface PassesBefore {
  /** The teacher, before the model is loaded. */
  readonly teacherBytes?: number;
  /** A pass that moves weights to score rows. */
  readonly scoringBytes?: number;
  /** The encoder of images, before the model is loaded. */
  readonly encoderBytes?: number;
}

export interface PassesBeforeParams extends Pick<PlanFacts, 'headers' | 'seesImages'> {
  readonly recipe: Recipe;
  readonly teacherConfig?: PlanFacts['headers']['config'] | undefined;
  /** Programs that were previously compiled for the run's device. */
  readonly known?: KnownPrograms | undefined;
}

export function passesBefore({ recipe, headers, seesImages, teacherConfig, known }: PassesBeforeParams, plan: RunPlan): PassesBefore {
  const teacherBytes = teacherConfig && priceTeacher(recipe, teacherConfig, plan.on);
  const scoringBytes = priceMovement(recipe, plan);
  const encoderBytes = seesImages ? priceEncoder(recipe, headers, plan, known) : undefined;
  return {
    ...(teacherBytes !== undefined && { teacherBytes }),
    ...(scoringBytes !== undefined && { scoringBytes }),
    ...(encoderBytes !== undefined && { encoderBytes }),
  };
}

/** Returns the most that one of the passes takes; 0 without any. */
export const mostBefore = ({ teacherBytes = 0, scoringBytes = 0, encoderBytes = 0 }: PassesBefore): number =>
  Math.max(teacherBytes, scoringBytes, encoderBytes);
