/** Runs jobs of the trainer in this process, with settings instead of a recipe file. */

import { runJob } from '../../trainer/handlers/job-handlers.ts';
import type { TrainResult } from '../../trainer/handlers/train/train-run.ts';
import { Job } from '../../trainer/job/job.ts';
import type { JobContext, JobRequest } from '../../trainer/protocol/messages/job-messages.ts';
import { parseRecipe } from '../../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import type { Settings } from './arms.ts';

export interface StudyJobs {
  readonly train: (runDir: string, settings: Settings) => Promise<TrainResult>;
  readonly exportMerged: (runDir: string, outputDir: string) => Promise<void>;
  readonly say: (line: string) => void;
}

export function studyJobs(context: JobContext): StudyJobs {
  const work = (job: JobRequest): Promise<unknown> => runJob(job, new Job(() => undefined));
  return {
    // The result of a job of this kind.
    train: async (runDir, settings) => (await work({ kind: 'train', context, recipe: recipeOf(settings), runDir })) as TrainResult,
    exportMerged: async (adapter, outputDir) => {
      await work({ kind: 'export', context, adapter, format: 'merged', outputDir, overwrite: true });
    },
    say: line => void process.stderr.write(`${line}\n`),
  };
}

export function recipeOf(settings: Settings): Recipe {
  const overrides = Object.entries(settings).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const { recipe, problems } = parseRecipe('', { overrides });
  if (recipe) return recipe;
  throw new Error(problems.map(({ message }) => message).join('; '));
}
