/** Loads a base model with the changes of an adapter for evaluation. */
import type { Adapter } from '../adapter/adapter.ts';
import { adaptedModel } from '../adapter/apply-adapter.ts';
import type { Session } from '../engine/engine.ts';
import { decodeTraces, emptyCache } from '../generate/decode-program.ts';
import type { AnswerWriter } from '../job/evaluate.ts';
import type { Job } from '../job/job.ts';
import { logHosted } from '../job/log-hosted.ts';
import type { Base } from '../job/open-base.ts';
import { choiceTraces } from '../objective/causal/choice-program.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { precisionOf } from '../train/recipe-settings.ts';
import type { BatchShape, Task } from '../train/task.ts';
import { evaluationProgram } from '../train/train-program.ts';
import { loadVariables, storedWeights } from '../train/variables.ts';
import { loadProgress } from './load-progress.ts';

export interface AdaptedSessionParams {
  readonly job: Job;
  readonly base: Base;
  readonly task: Task;
  /** The adapter; without one, the base alone. */
  readonly adapter: Adapter | undefined;
  /** The settings of the run: the base is stored in its types; in float32 for the dtype `auto`, for which see `withChosenType`. */
  readonly recipe: Pick<Recipe, 'dtype' | 'quantize'>;
  readonly shapes: readonly BatchShape[];
  /** Present if answers are generated. */
  readonly answers?: Pick<AnswerWriter, 'model' | 'tokens' | 'slots' | 'images'> | undefined;
  /** The shapes of multiple-choice questions, if there are any. */
  readonly choiceShapes?: readonly BatchShape[];
}

/** Calls `use` with a session of the evaluation program and returns its result. @throws AdapterError */
export async function withAdapted<T>(params: AdaptedSessionParams, use: (session: Session) => Promise<T>): Promise<T> {
  const { job, base, task, adapter, recipe, shapes, answers, choiceShapes = [] } = params;
  const { attachment, weights, start } = await adaptedModel({
    model: task.model,
    weights: base.folder.weights,
    adapter,
    hostFrom: base.engine.hostFrom,
    precision: precisionOf(recipe),
  });
  logHosted(job, base.engine.description, task.model, attachment);
  job.phase('compile', 'building the evaluation program');
  const further = {
    ...(answers && decodeTraces({ ...answers, ...attachment })),
    ...choiceTraces(base.model, attachment, choiceShapes),
  };
  const session = await base.engine.compile({
    ...evaluationProgram({ task, attachment, further }, shapes),
    places: attachment.hosted,
  });
  try {
    const model = storedWeights(task.model, weights, attachment, loadProgress(job));
    await loadVariables(session, { model, attachment, start });
    if (answers) await session.load(emptyCache(answers.model, answers.tokens, answers.slots));
    return await use(session);
  } finally {
    await session.dispose();
  }
}
