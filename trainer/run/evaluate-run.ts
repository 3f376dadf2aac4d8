/** The job 'evaluate': the held-out data of a recipe through its model, alone or with an adapter. */

import type { Adapter } from '../adapter/adapter.ts';
import { type AdaptedModel, applyAdapter, untouched } from '../adapter/apply-adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import type { Model } from '../model/model-spec.ts';
import { weightStream } from '../model/weight-stream.ts';
import type { JobRequest } from '../protocol/job-messages.ts';
import { optimizerSettings } from '../train/recipe-settings.ts';
import { trainProgram } from '../train/train-program.ts';
import { loadVariables } from '../train/variables.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import type { Job } from './job.ts';
import { type Base, openBase } from './open-base.ts';
import { RunError } from './run-error.ts';
import { setUpTask } from './task-setup.ts';

export interface EvaluateResult extends Evaluation {
  readonly model: string;
  readonly adapter: string | null;
  readonly engine: string;
}

/** @throws RunError 'no-data', 'stopped'; AdapterError */
export async function evaluateJob(request: Extract<JobRequest, { kind: 'evaluate' }>, job: Job): Promise<EvaluateResult> {
  const { recipe, context } = request;
  const adapter = request.adapter === undefined ? undefined : await readAdapter(request.adapter);
  try {
    const base = await openBase({ ...recipe, context, job });
    try {
      const { task, model, evaluator } = await setUpTask({ recipe, base, context, job, labels: adapter?.description.labels }, 'held');
      if (!evaluator) throw new RunError('no-data', 'there is no held-out sample to evaluate on', 'Set data.eval, or val_size');
      job.phase('compile', 'building the evaluation program');
      const adapted = await adapt(base, model, adapter);
      const session = await base.engine.compile(
        trainProgram({
          task,
          attachment: adapted.attachment,
          optimizer: optimizerSettings(recipe),
          maxGradNorm: 0,
          accumulationSteps: 1,
          recompute: 'none',
          trainShapes: [],
          evalShapes: evaluator.source.plan.buckets,
        }),
      );
      try {
        const report = job.progress('load', model.parameters.length, 'tensors');
        const weights = weightStream(model, adapted.weights, done => report(done));
        await loadVariables(session, { model: weights, attachment: adapted.attachment, start: adapted.start });
        job.phase('evaluate', `evaluating ${evaluator.samples} samples`);
        const found = await evaluate({ session, evaluator, job });
        job.checkStop();
        if (!found) throw new Error('the evaluation gave nothing');
        return { ...found, model: recipe.model, adapter: request.adapter ?? null, engine: base.engine.description.summary };
      } finally {
        await session.dispose();
      }
    } finally {
      await base.folder.weights.close();
    }
  } finally {
    await adapter?.close();
  }
}

async function adapt({ folder, fingerprint }: Base, model: Model, adapter: Adapter | undefined): Promise<AdaptedModel> {
  if (!adapter) return { weights: folder.weights, attachment: untouched, start: new Map() };
  return applyAdapter({ model, weights: folder.weights, fingerprint, adapter });
}
