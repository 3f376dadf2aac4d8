/** One evaluation of a training run. */
import { type Evaluation, type Evaluator, evaluate } from '../../job/evaluate.ts';
import type { JobScope } from '../../job/job-scope.ts';
import type { AnswerView } from '../../protocol/view/run.ts';
import { appendAnswers, readBaseAnswers } from '../../run/answers-file.ts';
import type { Prepared } from './prepared.ts';

export interface EvaluateStepParams extends Pick<JobScope, 'job'> {
  readonly prepared: Prepared;
  readonly evaluator: Evaluator;
  readonly runDir: string;
  /** Number of updates before the evaluation. */
  readonly step: number;
}

/** Evaluates, and writes every generated answer to the run's folder. @returns undefined if the job was stopped meanwhile */
export const evaluateStep = ({ prepared, evaluator, runDir, step, job }: EvaluateStepParams): Promise<Evaluation | undefined> => {
  const { session, ranks, recipe } = prepared;
  const isFirst = ranks?.isFirst !== false;
  const own = isFirst && { onAnswers: (all: readonly AnswerView[]) => appendAnswers(runDir, step, all) };
  return evaluate({
    session,
    evaluator,
    job,
    ranks,
    devices: recipe.devices,
    ...own,
    ...(step > 0 && { ofBase: () => readBaseAnswers(runDir) }),
  });
};
