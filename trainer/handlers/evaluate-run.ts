/** The job 'evaluate': runs the held-out data of a recipe through its model, alone or with an adapter. */

import type { Adapter } from '../artifact/adapter/adapter.ts';
import { type AdaptedModel, applyAdapter, untouched } from '../artifact/adapter/apply-adapter.ts';
import { checkBase } from '../artifact/adapter/check-adapter.ts';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import type { Session } from '../engine/engine.ts';
import { type Evaluation, type Evaluator, evaluate } from '../job/evaluate.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import { type Base, openBase } from '../job/open-base.ts';
import type { Model } from '../model/model-spec.ts';
import { weightStream } from '../model/weight-stream.ts';
import { answerBenchmarks, loadBenchmarks, requireCausal } from '../objective/benchmarks.ts';
import { causalTask } from '../objective/causal/causal-task.ts';
import type { ChoiceResult } from '../objective/causal/choice-evaluator.ts';
import { setUpTask } from '../objective/set-up-task.ts';
import type { JobRequest } from '../protocol/job-messages.ts';
import { evaluationProgram } from '../train/train-program.ts';
import { loadVariables } from '../train/variables.ts';

export interface EvaluateResult extends Partial<Evaluation> {
  /** By name. */
  readonly benchmarks?: Readonly<Record<string, ChoiceResult>>;
  readonly model: string;
  readonly adapter: string | null;
  readonly engine: string;
}

/** @throws RunError 'no-data', 'stopped', 'wrong-task'; AdapterError */
export async function evaluateJob(request: Extract<JobRequest, { kind: 'evaluate' }>, { job, context }: JobScope): Promise<EvaluateResult> {
  const { recipe } = request;
  const scope = { job, context, recipe };
  const adapter = request.adapter === undefined ? undefined : await readAdapter(request.adapter);
  try {
    const base = await openBase(scope);
    try {
      // Before reading the data: it would be rejected because of the labels of another model.
      if (adapter) checkBase(adapter, base.fingerprint);
      const params = { ...scope, base, labels: adapter?.description.labels };
      const benchmarks = await loadBenchmarks(params);
      const hasData = recipe.data.eval.length > 0 || recipe.val_size > 0;
      const held = hasData || benchmarks.length === 0 ? await setUpTask(params, 'held') : undefined;
      const task = held?.task ?? causalTask(requireCausal(base.model));
      const adapted = await adapt(base, task.model, adapter);
      const sources = [...(held?.evaluator ? [held.evaluator.source] : []), ...benchmarks.map(({ set }) => set.source)];
      job.phase('compile', 'building the evaluation program');
      const session = await base.engine.compile(
        evaluationProgram(
          { task, attachment: adapted.attachment },
          sources.flatMap(({ plan }) => plan.buckets),
        ),
      );
      try {
        const report = job.progress('load', task.model.parameters.length, 'tensors');
        const model = weightStream(task.model, adapted.weights, {
          onTensor: done => report(done),
          storage: adapted.attachment.storage,
        });
        await loadVariables(session, { model, attachment: adapted.attachment, start: adapted.start });
        const found = held?.evaluator && (await evaluateHeld(session, held.evaluator, job));
        const answered = await answerBenchmarks(session, benchmarks, job);
        return {
          ...found,
          benchmarks: answered,
          model: recipe.model,
          adapter: request.adapter ?? null,
          engine: base.engine.description.summary,
        };
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

async function evaluateHeld(session: Session, evaluator: Evaluator, job: Job): Promise<Evaluation> {
  job.phase('evaluate', `evaluating ${evaluator.samples} samples`);
  const found = await evaluate({ session, evaluator, job });
  job.checkStop();
  if (!found) throw new Error('the evaluation returned no result');
  return found;
}

async function adapt({ folder, fingerprint }: Base, model: Model, adapter: Adapter | undefined): Promise<AdaptedModel> {
  if (!adapter) return { weights: folder.weights, attachment: untouched, start: new Map() };
  return applyAdapter({ model, weights: folder.weights, fingerprint, adapter });
}
