/** The environment that the functions of a job share; each takes the parts that it uses. */
import type { JobContext } from '../protocol/messages/job-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import type { Job } from './job.ts';
import type { Ranks } from './ranks.ts';

export interface JobScope {
  readonly job: Job;
  readonly context: JobContext;
  /** Present if several processes train together. */
  readonly ranks?: Ranks | undefined;
}

/** The scope of a job with a recipe. */
export interface RecipeScope extends JobScope {
  readonly recipe: Recipe;
  /** Whether the labels of the recipe are the names of classes that its data declares. */
  readonly declaresLabels?: boolean;
}
