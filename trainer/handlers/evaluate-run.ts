/** The job 'evaluate': evaluates a recipe's model on its held-out data, with or without an adapter. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Adapter } from '../adapter/adapter.ts';
import { checkBase } from '../adapter/check-adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import { whyNotWritable } from '../files/output-place.ts';
import { type EvaluateParams, type Evaluation, evaluate } from '../job/evaluate.ts';
import type { JobScope, RecipeScope } from '../job/job-scope.ts';
import { type Base, openBase } from '../job/open-base.ts';
import { answerBenchmarks, benchmarkShapes, loadBenchmarks, requireCausal } from '../objective/benchmarks.ts';
import { causalTask } from '../objective/causal/causal-task.ts';
import type { ChoiceResult } from '../objective/causal/choice-evaluator.ts';
import type { Forgetting } from '../objective/causal/forgetting.ts';
import { setUpTask } from '../objective/set-up-task.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { writesAnswers } from '../protocol/recipe/rules/generation-rules.ts';
import type { AnswerView } from '../protocol/view/run.ts';
import { readBaseAnswers, writeAnswers } from '../run/answers-file.ts';
import { RunError } from '../run-error.ts';
import { withAdapted } from './adapted-session.ts';
import { withChosenType } from './chosen-type.ts';
import { measureForgetting } from './measure-forgetting.ts';

export interface EvaluateResult extends Partial<Evaluation> {
  /** Results by the name of the benchmark. */
  readonly benchmarks?: Readonly<Record<string, ChoiceResult>> | undefined;
  /** Present with eval_forgetting, if there is an adapter. */
  readonly forgetting?: Forgetting | undefined;
  readonly model: string;
  readonly adapter: string | null;
  readonly engine: string;
}

/** @throws RunError 'no-data', 'output-unusable', 'checkpoint-damaged', 'stopped', 'wrong-task'; AdapterError */
export async function evaluateJob(request: Extract<JobRequest, { kind: 'evaluate' }>, { job, context }: JobScope): Promise<EvaluateResult> {
  const { answersFile } = request;
  if (answersFile !== undefined) await checkAnswersFile(answersFile, request.recipe);
  const adapter = request.adapter === undefined ? undefined : await readAdapter(request.adapter);
  try {
    const recipe = await withChosenType(request.recipe, adapter);
    const scope = { job, context, recipe };
    const base = await openBase(scope);
    try {
      // Check before reading the data, which the labels of another model would reject.
      if (adapter) checkBase(adapter, base.fingerprint);
      const params = { ...scope, base, labels: adapter?.description.labels };
      const benchmarks = await loadBenchmarks(params);
      const hasData = recipe.data.eval.length > 0 || recipe.val_size > 0;
      const measuresOther = benchmarks.length > 0 || recipe.eval_forgetting;
      const held = hasData || !measuresOther ? await setUpTask(params, 'held') : undefined;
      const task = held?.task ?? causalTask(requireCausal(base.model));
      const shapes = held?.evaluator?.source.plan.buckets ?? [];
      const choiceShapes = benchmarkShapes(benchmarks);
      const step = adapter?.description.step ?? 0;
      const ofBase = request.adapter !== undefined && { ofBase: () => readBaseAnswers(request.adapter ?? '') };
      const keep = answersFile !== undefined && { onAnswers: (all: readonly AnswerView[]) => writeAnswers(answersFile, step, all) };
      const found =
        shapes.length + choiceShapes.length > 0
          ? await withAdapted(
              { job, base, task, adapter, recipe, shapes, answers: held?.evaluator?.answers, choiceShapes },
              async session => ({
                ...(held?.evaluator && (await evaluateHeld({ session, evaluator: held.evaluator, job, ...ofBase, ...keep }))),
                ...(benchmarks.length > 0 && { benchmarks: await answerBenchmarks(benchmarks, { session, job }) }),
              }),
            )
          : undefined;
      job.checkStop();
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

/** Checks, before anything is loaded, that answers can be written. @throws RunError 'no-data', 'output-unusable' */
async function checkAnswersFile(file: string, recipe: Recipe): Promise<void> {
  if (!writesAnswers(recipe))
    throw new RunError(
      'no-data',
      'evaluations of the recipe write no answers, so there are none to keep',
      'Set eval_generation.checks or eval_generation.reward_model, or leave out --answers',
    );
  const unusable = existsSync(file) ? 'a file of this name exists' : await whyNotWritable(path.dirname(file));
  if (unusable !== undefined)
    throw new RunError('output-unusable', `the answers cannot be written to ${file}: ${unusable}`, 'Choose another file for --answers');
}

async function evaluateHeld(params: EvaluateParams): Promise<Evaluation> {
  const { evaluator, job } = params;
  job.phase('evaluate', `evaluating ${evaluator.samples} samples`);
  const found = await evaluate(params);
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
