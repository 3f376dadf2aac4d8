/** The job 'evaluate': runs the held-out data of a recipe through its model, alone or with an adapter. */

import type { Adapter } from '../artifact/adapter/adapter.ts';
import { checkBase } from '../artifact/adapter/check-adapter.ts';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import type { Session } from '../engine/engine.ts';
import { type Evaluation, type Evaluator, evaluate } from '../job/evaluate.ts';
import type { Job } from '../job/job.ts';
import type { JobScope, RecipeScope } from '../job/job-scope.ts';
import { type Base, openBase } from '../job/open-base.ts';
import { answerBenchmarks, loadBenchmarks, requireCausal } from '../objective/benchmarks.ts';
import { causalTask } from '../objective/causal/causal-task.ts';
import type { ChoiceResult } from '../objective/causal/choice-evaluator.ts';
import type { Forgetting } from '../objective/causal/forgetting.ts';
import { setUpTask } from '../objective/set-up-task.ts';
import type { JobRequest } from '../protocol/job-messages.ts';
import { withAdapted } from './adapted-session.ts';
import { measureForgetting } from './measure-forgetting.ts';

export interface EvaluateResult extends Partial<Evaluation> {
  /** By name. */
  readonly benchmarks?: Readonly<Record<string, ChoiceResult>> | undefined;
  /** With eval_forgetting, if there is an adapter. */
  readonly forgetting?: Forgetting | undefined;
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
      const measuresOther = benchmarks.length > 0 || recipe.eval_forgetting;
      const held = hasData || !measuresOther ? await setUpTask(params, 'held') : undefined;
      const task = held?.task ?? causalTask(requireCausal(base.model));
      const sources = [...(held?.evaluator ? [held.evaluator.source] : []), ...benchmarks.map(({ set }) => set.source)];
      const shapes = sources.flatMap(({ plan }) => plan.buckets);
      const found =
        shapes.length > 0
          ? await withAdapted({ job, base, task, adapter, shapes, answers: held?.evaluator?.answers }, async session => ({
              ...(held?.evaluator && (await evaluateHeld(session, held.evaluator, job))),
              benchmarks: await answerBenchmarks(session, benchmarks, job),
            }))
          : undefined;
      return {
        ...found,
        forgetting: await forgettingIfAsked(scope, base, adapter),
        model: recipe.model,
        adapter: request.adapter ?? null,
        engine: base.engine.description.summary,
      };
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

async function forgettingIfAsked(scope: RecipeScope, base: Base, adapter: Adapter | undefined): Promise<Forgetting | undefined> {
  if (!scope.recipe.eval_forgetting) return undefined;
  if (adapter) return measureForgetting(scope, base, adapter);
  scope.job.log('warning', 'eval_forgetting compares a tuned model with its base, and there is no adapter: it is not measured');
  return undefined;
}
