/** The benchmarks of a recipe: their files read, their questions answered. */

import path from 'node:path';
import { namesOf } from '../catalog/entries.ts';
import { epochBatches } from '../data/batch/batches.ts';
import { type ChoiceQuestion, choiceQuestion } from '../data/choice-tasks.ts';
import { DataError } from '../data/data-error.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { readRecords } from '../data/read/read-records.ts';
import type { Session } from '../engine/engine.ts';
import type { Job } from '../job/job.ts';
import { withTokenizer } from '../job/open-base.ts';
import { padIdOf } from '../job/pad-id.ts';
import type { AnyModel, CausalModel } from '../model/model-spec.ts';
import type { ChoiceTask } from '../protocol/recipe/run-settings.ts';
import { RunError } from '../run-error.ts';
import { evalSignature } from '../train/train-program.ts';
import { type ChoiceResult, type ChoiceSet, choiceSet } from './causal/choice-evaluator.ts';
import type { SetUpParams } from './task-setup.ts';

export interface Benchmark {
  readonly name: ChoiceTask;
  readonly set: ChoiceSet;
}

/** @throws RunError 'wrong-task' for a model that gives no next token */
export function requireCausal(model: AnyModel): CausalModel {
  if (model.kind === 'causal') return model;
  throw new RunError(
    'wrong-task',
    `the model is a ${model.family} that classifies; benchmarks are answered by models that predict the next token`,
    'Take the benchmarks out, or name a language model',
  );
}

/** @throws DataError (file, line, key) where a file is not that of its benchmark */
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

/** @throws RunError 'stopped' */
export async function answerBenchmarks(
  session: Session,
  benchmarks: readonly Benchmark[],
  job: Job,
): Promise<Record<string, ChoiceResult> | undefined> {
  if (benchmarks.length === 0) return undefined;
  const results: Record<string, ChoiceResult> = {};
  for (const { name, set } of benchmarks) {
    job.phase('evaluate', `answering ${name}`);
    const report = job.progress('evaluate', set.source.plan.batchesPerEpoch, 'batches');
    let done = 0;
    for await (const batch of epochBatches(set.source, 0)) {
      job.checkStop();
      const { bucket, segments, positions } = batch;
      // The program is the held-out data's: a packed one asks for segments, here one a row, and one that scores labels for where they are.
      const feeds = { ...batch.feeds(1), segments, positions, labelPositions: new Int32Array(bucket.batch) };
      const { nll } = await session.run(evalSignature(bucket), feeds);
      set.add(batch, nll);
      report(++done);
    }
    results[name] = set.result();
  }
  return results;
}
