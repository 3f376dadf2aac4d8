/** The job 'evaluate': the held-out data of a recipe through its model, alone or with an adapter. */

import type { Adapter } from '../adapter/adapter.ts';
import { type AdaptedModel, applyAdapter, untouched } from '../adapter/apply-adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import { weightStream } from '../model/weight-stream.ts';
import type { JobRequest } from '../protocol/job-messages.ts';
import { optimizerSettings } from '../train/recipe-settings.ts';
import { trainProgram } from '../train/train-program.ts';
import { loadVariables } from '../train/variables.ts';
import { createEvalSet } from './eval-set.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import type { Job } from './job.ts';
import { loadHeldData } from './load-data.ts';
import { type Base, openBase } from './open-base.ts';
import { padIdOf } from './pad-id.ts';

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
      const data = await loadHeldData({ recipe, base, context, job, labels: adapter?.description.labels });
      const set = createEvalSet({
        examples: data.held,
        labels: data.labels,
        batchSize: recipe.per_device_eval_batch_size,
        packing: recipe.packing,
        maxPositions: base.model.maxPositions,
        seed: recipe.seed,
      });
      job.phase('compile', 'building the evaluation program');
      const adapted = await adapt(base, adapter);
      const session = await base.engine.compile(
        trainProgram({
          model: base.model,
          attachment: adapted.attachment,
          optimizer: optimizerSettings(recipe),
          maxGradNorm: 0,
          accumulationSteps: 1,
          recompute: 'none',
          packed: recipe.packing,
          trainShapes: [],
          evalShapes: set.plan.buckets,
          labelTokens: set.scoring?.kind === 'begin' ? set.scoring.tokens : undefined,
        }),
      );
      try {
        const report = job.progress('load', base.model.parameters.length, 'tensors');
        const model = weightStream(base.model, adapted.weights, done => report(done));
        await loadVariables(session, { model, attachment: adapted.attachment, start: adapted.start });
        job.phase('evaluate', `evaluating ${set.samples} samples`);
        const found = await evaluate({ session, set, padId: padIdOf(base), job });
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

async function adapt({ model, folder, fingerprint }: Base, adapter: Adapter | undefined): Promise<AdaptedModel> {
  if (!adapter) return { weights: folder.weights, attachment: untouched, start: new Map() };
  return applyAdapter({ model, weights: folder.weights, fingerprint, adapter });
}
