/** The job 'find-rate': a short run whose learning rate rises exponentially. Its weights are discarded. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { dataStart } from '../../data/batch/batches.ts';
import type { JobScope } from '../../job/job-scope.ts';
import type { JobRequest } from '../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { counted, exactNumber } from '../../protocol/text/format.ts';
import { withAbsolutePaths } from '../../run/absolute-paths.ts';
import { RateCurve, type RatePoint, type RateSuggestion, rateAt, suggestRate } from '../../train/rate-range.ts';
import { prepareTraining } from './prepare.ts';
import type { Prepared } from './prepared.ts';
import { beginStep } from './train-step.ts';

export interface FindRateResult {
  readonly points: readonly RatePoint[];
  /** Missing if the loss never fell. */
  readonly suggestion?: RateSuggestion;
  /** Whether the loss exceeded four times its lowest value, or was not finite, before the highest rate. */
  readonly diverged: boolean;
  readonly engine: string;
}

type Request = Extract<JobRequest, { kind: 'find-rate' }>;

export async function findRateJob(request: Request, scope: JobScope): Promise<FindRateResult> {
  const recipe = inOneProcess(withAbsolutePaths(request.recipe, scope.context.baseDir));
  const runDir = await mkdtemp(path.join(os.tmpdir(), 'rowtune-find-rate-'));
  try {
    const prepared = await prepareTraining({ ...scope, recipe, runDir, startedAt: new Date().toISOString() });
    try {
      return await raise(request, prepared, scope);
    } finally {
      await prepared.session.dispose();
      await prepared.base.folder.weights.close();
    }
  } finally {
    await rm(runDir, { recursive: true, force: true });
  }
}

/** The recipe for one process. The batch determines which rate is good, so its size stays that of all processes. */
const inOneProcess = (recipe: Recipe): Recipe => ({
  ...recipe,
  processes: 1,
  per_device_train_batch_size: recipe.processes * recipe.per_device_train_batch_size,
});

async function raise({ range }: Request, prepared: Prepared, { job }: JobScope): Promise<FindRateResult> {
  job.phase(
    'train',
    `raising the learning rate from ${exactNumber(range.min)} to ${exactNumber(range.max)} in ${counted(range.steps, 'update')}`,
  );
  const report = job.progress('train', range.steps, 'steps');
  const curve = new RateCurve();
  let cursor = dataStart;
  let diverged = false;
  for (let index = 0; index < range.steps && !diverged; index++) {
    await job.yieldToEvents();
    job.checkStop();
    const learningRate = rateAt(range, index);
    const begun = await beginStep(prepared, cursor, index + 1, learningRate);
    const { loss } = await begun.result;
    cursor = begun.next;
    diverged = curve.add(learningRate, loss);
    report(index + 1);
    job.emit({ type: 'metrics', step: index + 1, values: { loss, learning_rate: learningRate } });
  }
  return { points: curve.points, suggestion: suggestRate(curve.points), diverged, engine: prepared.base.engine.description.summary };
}
