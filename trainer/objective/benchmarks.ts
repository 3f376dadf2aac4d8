/** The benchmarks of a recipe: reads their files and answers their questions. */

import path from 'node:path';
import type { BenchmarkName } from '../catalog/benchmarks.ts';
import { namesOf } from '../catalog/entries.ts';
import type { TokenBatch } from '../data/batch/batches.ts';
import { type ChoiceQuestion, choiceQuestion } from '../data/choice-tasks.ts';
import { DataError } from '../data/data-error.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { readRecords } from '../data/read/read-records.ts';
import type { Session } from '../engine/engine.ts';
import type { BenchmarkReader } from '../job/evaluate.ts';
import type { JobScope } from '../job/job-scope.ts';
import { withTokenizer } from '../job/open-base.ts';
import { padIdOf } from '../job/pad-id.ts';
import { type Sharing, sharedBatches } from '../job/shared-batches.ts';
import type { AnyModel, CausalModel } from '../model/model-spec.ts';
import { counted } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';
import { runForEach } from '../train/run-on-each.ts';
import type { BatchShape } from '../train/task.ts';
import { type ChoiceResult, type ChoiceSet, choiceSet } from './causal/choice-evaluator.ts';
import { choiceSignature } from './causal/choice-program.ts';
import type { SetUpParams, TaskSetup } from './task-setup.ts';

export interface Benchmark {
  readonly name: BenchmarkName;
  readonly set: ChoiceSet;
}

/** @throws RunError 'wrong-task' for a model that does not predict next tokens */
export function requireCausal(model: AnyModel): CausalModel {
  if (model.kind === 'causal') return model;
  throw new RunError(
    'wrong-task',
    `the model is a ${model.family} that classifies; benchmarks are answered by models that predict the next token`,
    'Take the benchmarks out, or name a language model',
  );
}

/** @throws DataError (file, line, key) if a file does not belong to its benchmark */
export async function loadBenchmarks({ recipe, base, context, job }: SetUpParams): Promise<Benchmark[]> {
  const { benchmarks } = recipe;
  const wanted = namesOf(benchmarks).flatMap(name => {
    const file = benchmarks[name];
    return file === undefined ? [] : [[name, file] as const];
  });
  if (wanted.length === 0) return [];
  const text = await withTokenizer({ ...base, model: requireCausal(base.model) });
  const found: Benchmark[] = [];
  for (const [name, file] of wanted) {
    job.phase('data', `reading ${name} from ${file}`);
    const questions: ChoiceQuestion[] = [];
    const files = await listDataFiles([path.resolve(context.baseDir, file)]);
    for await (const record of readRecords({ files, textSplit: 'file', maxSamples: recipe.benchmark_max_samples }))
      questions.push(choiceQuestion(name, record));
    if (questions.length === 0) throw new DataError({ file, problem: 'no question', advice: 'Check that the file is not empty' });
    job.checkStop();
    const set = choiceSet({
      questions,
      tokenizer: text.tokenizer,
      batchSize: recipe.per_device_eval_batch_size,
      maxPositions: text.model.maxPositions,
      padId: padIdOf(text),
    });
    found.push({ name, set });
  }
  return found;
}

/** The shapes of all batches. */
export const benchmarkShapes = (benchmarks: readonly Benchmark[]): readonly BatchShape[] =>
  benchmarks.flatMap(({ set }) => set.source.plan.buckets);

export interface AnswerParams extends Pick<JobScope, 'job'>, Sharing {
  /** A session with the signatures of `choiceTraces`. */
  readonly session: Session;
}

/**
 * Answers the benchmarks; undefined if the job was stopped meanwhile. With several processes or devices, each answers some of the batches;
 * the result is the same as with one.
 */
export async function answerBenchmarks(
  benchmarks: readonly Benchmark[],
  { session, job, ranks, devices }: AnswerParams,
): Promise<Record<string, ChoiceResult> | undefined> {
  const results: Record<string, ChoiceResult> = {};
  for (const { name, set } of benchmarks) {
    job.phase('evaluate', `answering ${name}`);
    const report = job.progress('evaluate', set.source.plan.batchesPerEpoch, 'batches');
    const tally = set.startTally();
    for await (const { batches, done } of sharedBatches(set.source, { ranks, devices })) {
      if (job.stop) return undefined;
      const own = await answered(session, batches, devices);
      for (const one of ranks ? ranks.all(own).flat() : own) tally.add(one, one.nll);
      report(done);
    }
    results[name] = tally.result();
  }
  return results;
}

/** Computes the losses of batches of one shape. */
async function answered(session: Session, batches: readonly TokenBatch[], devices: number | undefined) {
  const [first] = batches;
  if (first === undefined) return [];
  const outputs = await runForEach(session, choiceSignature(first.bucket), { feeds: batches.map(batch => batch.feeds(1)), devices });
  return batches.map(({ targetCount, targetSamples }, i) => ({ nll: outputs[i]?.nll, targetCount, targetSamples }));
}

/** Returns the same setup, with evaluations that also answer the benchmarks if the recipe requests it. @throws as `loadBenchmarks` does */
export async function withBenchmarks(params: SetUpParams, setup: TaskSetup): Promise<TaskSetup> {
  const { evaluator, model } = setup;
  if (!params.recipe.eval_benchmarks || !evaluator || model.kind !== 'causal') return setup;
  const benchmarks = await loadBenchmarks(params);
  if (benchmarks.length === 0) return setup;
  const counts = benchmarks.map(({ name, set }) => `${counted(set.questions, 'question')} of ${name}`);
  params.job.log('info', `each evaluation also answers ${counts.join(', ')}`);
  const answer: BenchmarkReader['answer'] = async scope => {
    const found = await answerBenchmarks(benchmarks, scope);
    return found && Object.fromEntries(Object.entries(found).map(([name, { accuracy }]) => [name, accuracy]));
  };
  return { ...setup, evaluator: { ...evaluator, benchmarks: { shapes: benchmarkShapes(benchmarks), answer } } };
}
