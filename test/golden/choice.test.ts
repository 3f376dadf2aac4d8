/** Compares multiple choice with lm-evaluation-harness: the same log-likelihoods, so the same answers, for the same questions. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openModel } from '../../trainer/hub/open-model.ts';
import { untouched } from '../../trainer/adapter/apply-adapter.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import type { BenchmarkName } from '../../trainer/catalog/benchmarks.ts';
import { choiceSet } from '../../trainer/objective/causal/choice-evaluator.ts';
import { choiceSignature, choiceTraces } from '../../trainer/objective/causal/choice-program.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { epochBatches } from '../../trainer/data/batch/batches.ts';
import { type ChoiceQuestion, choiceQuestion } from '../../trainer/data/choice-tasks.ts';
import { listDataFiles } from '../../trainer/data/read/list-files.ts';
import { readRecords } from '../../trainer/data/read/read-records.ts';
import { evaluationProgram } from '../../trainer/train/train-program.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { openFast } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const here = import.meta.dirname;
const choiceTasks = ['arc_easy', 'arc_challenge', 'openbookqa', 'boolq', 'rte', 'hellaswag', 'winogrande'] as const;
const taskForm = z.object({ acc: z.number(), acc_norm: z.number().nullable(), loglikelihoods: z.array(z.array(z.number())) });
const golden = readGoldenJson('choice/golden.json', z.object({ tasks: z.record(z.enum(choiceTasks), taskForm) }));
const base = await mkdtemp(join(tmpdir(), 'rowtune-choice-'));
afterAll(() => rm(base, { recursive: true, force: true }));
for (const part of ['llama', 'tiny-tokenizer']) await cp(join(here, part), base, { recursive: true });
const folder = await openModel(base);
afterAll(() => folder.weights.close());
const model = causalModel(folder.config);
const tokenizer = await folder.loadTokenizer();
const engine = await openFast();

async function questionsOf(task: BenchmarkName): Promise<ChoiceQuestion[]> {
  const questions: ChoiceQuestion[] = [];
  for await (const record of readRecords({ files: await listDataFiles([join(here, 'choice', `${task}.jsonl`)]), textSplit: 'file' }))
    questions.push(choiceQuestion(task, record));
  return questions;
}

describe('lm-evaluation-harness', () => {
  test.each(choiceTasks)('%s', async task => {
    const set = choiceSet({ questions: await questionsOf(task), tokenizer, batchSize: 4, maxPositions: 256, padId: 0 });
    const session = await engine.compile(
      evaluationProgram({ task: causalTask(model), attachment: untouched, further: choiceTraces(model, untouched, set.source.plan.buckets) }, []),
    );
    await loadVariables(session, { model: weightStream(model, folder.weights), attachment: untouched });
    const tally = set.startTally();
    for await (const batch of epochBatches(set.source, 0)) {
      const { nll } = await session.run(choiceSignature(batch.bucket), batch.feeds(1));
      tally.add(batch, nll);
    }
    await session.dispose();
    const expected = golden.tasks[task];
    for (const [i, value] of expected.loglikelihoods.flat().entries()) expect(tally.likelihoods[i]).toBeCloseTo(value, 3);
    const { accuracy, accuracyNorm } = tally.result();
    expect(accuracy).toBeCloseTo(expected.acc, 6);
    if (expected.acc_norm !== null) expect(accuracyNorm).toBeCloseTo(expected.acc_norm, 6);
  });
});
