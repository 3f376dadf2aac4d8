/** Tests the stages of a run before its first update, and its held-out results after the last. */
import { describe, expect, test } from 'vitest';
import { answerRows } from '../../../media/run/answers.ts';
import { forgettingRows, labelRows, resultsOf } from '../../../media/run/results.ts';
import { stagesOf } from '../../../media/run/stages.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { WrittenAnswers } from '../../../media/shared/written-answers.ts';
import { required } from '../../../trainer/narrow.ts';
import type { EvaluationView, RunOverview, RunPatch, ShownJob } from '../../../trainer/protocol/view/run.ts';

function modelOf(...patches: readonly RunPatch[]): RunModel {
  const model = new RunModel();
  for (const patch of patches) model.apply(patch);
  return model;
}

const overview = (job: Partial<ShownJob> | undefined, change: Partial<RunOverview> = {}): RunPatch => ({
  type: 'overview',
  overview: {
    ...{ runDir: '/runs/spam', name: 'spam', state: 'preparing', step: 0, totalSteps: 0, resumable: false },
    ...{ startedAt: '', updatedAt: '', ageSeconds: 0 },
    ...(job ? { job: { id: '1', state: 'running', ...job } } : {}),
    ...change,
  },
});
const preparing = (job: Partial<ShownJob> | undefined): RunPatch => overview(job);
const recipeWith = (method: string): RunPatch => ({
  type: 'recipe',
  text: '',
  entries: [{ key: 'method', value: method, isDefault: false, doc: '' }],
});

describe('stages', () => {
  test('are done, running with their progress, or still to come', () => {
    const progress = { type: 'progress', phase: 'importance', done: 5, total: 8, unit: 'batches', secondsLeft: 20 } as const;
    const stages = stagesOf(modelOf(preparing({ phase: 'importance', progress }), recipeWith('spsft')));
    expect(stages.map(({ text, state }) => [text, state])).toEqual([
      ['loading the model', 'done'],
      ['reading the data', 'done'],
      ['scoring rows', 'now'],
      ['compiling', 'next'],
      ['rehearsing evaluation and save', 'next'],
    ]);
    expect(stages[2]).toMatchObject({ detail: '5 of 8 batches, 20 s left', share: 5 / 8 });
  });

  test('a method that scores nothing has no such stage', () => {
    const texts = (method: string) => stagesOf(modelOf(preparing({ phase: 'compile' }), recipeWith(method))).map(({ text }) => text);
    expect(texts('lora')).not.toContain('scoring rows');
    expect(texts('spsft')).toContain('scoring rows');
    expect(texts('rosa')).toContain('scoring rows');
  });

  test('before the recipe is known no stage is shown that may not come', () => {
    expect(stagesOf(modelOf(preparing({ phase: 'load' }))).map(({ text }) => text)).not.toContain('scoring rows');
  });

  test('a resumed run counts from where it resumed: it scores and rehearses nothing', () => {
    const resumed = modelOf(preparing({ phase: 'compile' }), recipeWith('spsft'));
    resumed.apply(overview({ phase: 'compile' }, { step: 34, totalSteps: 60 }));
    expect(stagesOf(resumed).map(({ text, state }) => [text, state])).toEqual([
      ['previously trained: 34 of 60 steps', 'done'],
      ['loading the model', 'done'],
      ['reading the data', 'done'],
      ['compiling', 'now'],
    ]);
  });

  test('a download is a part of the loading, the evaluation of the rehearsal', () => {
    const of = (phase: string, counted: string) => {
      const progress = { type: 'progress', phase: counted, done: 1e6, total: 2e6, unit: 'bytes' } as const;
      return stagesOf(modelOf(preparing({ phase, progress }))).find(({ state }) => state === 'now');
    };
    expect(of('load', 'download')).toMatchObject({ text: 'loading the model', detail: 'downloading the model, 1.0 MB of 2.0 MB' });
    expect(of('rehearse', 'evaluate')?.detail).toMatch(/^evaluating, /);
  });

  test('a run without a known phase, or in training, has no stages', () => {
    expect(stagesOf(modelOf(preparing(undefined)))).toEqual([]);
    expect(stagesOf(modelOf(overview({ phase: 'train' }, { state: 'running' })))).toEqual([]);
  });

  test('a run that was deleted has no stages, but one that waits does', () => {
    const stages = (state: ShownJob['state']) => stagesOf(modelOf({ type: 'missing', runDir: '/runs/spam', job: { id: '1', state } }));
    expect(stages('queued').length).toBeGreaterThan(2);
    expect(stages('stopped')).toEqual([]);
  });
});

const evaluation = (accuracy: number, loss: number, confusion: Record<string, Record<string, number>>): EvaluationView => ({
  loss,
  samples: 10,
  labels: { accuracy, majority: 0.6, confusion },
});
const BEFORE = evaluation(0.6, 2, { ham: { ham: 6, spam: 0 }, spam: { ham: 4, spam: 0 } });
const AFTER = evaluation(0.9, 0.5, { ham: { ham: 5, spam: 1 }, spam: { ham: 0, spam: 4 } });
const lines: RunPatch = {
  type: 'metrics',
  reset: true,
  length: 2,
  columns: { step: [0, 10], eval_loss: [2, 0.6], eval_accuracy: [0.6, 0.8], eval_runtime: [1, 1] },
};

describe('results', () => {
  test('are empty before the first evaluation', () => expect(resultsOf(modelOf())).toBeUndefined());

  test('while it trains the newest evaluation stands in for the last', () => {
    const results = resultsOf(modelOf(lines, { type: 'evaluation', evaluation: { step: 10, before: BEFORE, newest: AFTER } }));
    expect(results).toMatchObject({ step: 10, isFinal: false, samples: 10 });
    expect(results?.rows).toEqual([
      { label: 'Loss', before: '2', after: '0.5', change: '−1.5', isBetter: true },
      { label: 'Accuracy', before: '60.0%', after: '90.0%', change: '+30.0 points', isBetter: true },
    ]);
    expect(results?.labels?.after).toBe(AFTER.labels);
  });

  test('accuracies of benchmarks and of labels are percentages', () => {
    const columns = { step: [0, 10], eval_loss: [2, 1], eval_arc_easy: [0.5, 0.75], eval_class_accuracy_min: [0.25, 0.5] };
    const rows = resultsOf(modelOf({ ...lines, columns }))?.rows.slice(1);
    expect(rows).toMatchObject([
      { label: 'Arc easy', before: '50.0%', after: '75.0%', change: '+25.0 points' },
      { label: 'Accuracy of the worst label', before: '25.0%', after: '50.0%', change: '+25.0 points' },
    ]);
  });

  test('an evaluation file from a later step than the run has reached is ignored', () => {
    const results = resultsOf(modelOf(lines, { type: 'evaluation', evaluation: { step: 15, before: BEFORE, newest: AFTER } }));
    expect(results?.rows[0]).toMatchObject({ before: '2', after: '0.6' });
    expect(results?.labels).toBeUndefined();
  });

  test('answers to held-out prompts stand side by side, where both evaluations have them', () => {
    const answer = (step: number, prompt: string, text: string) => ({
      step,
      prompt,
      reference: '[]',
      answer: text,
      scores: { json: Number(text === '[]') },
    });
    const early = [answer(0, 'a', 'no'), answer(0, 'b', 'no'), answer(10, 'a', '[]'), answer(10, 'c', 'no')];
    const { answers } = modelOf({ type: 'answers', reset: true, answers: early });
    expect(answers.steps).toEqual([0, 10]);
    expect(answerRows(answers, 10)).toEqual([
      { prompt: 'a', reference: '[]', before: 'no', after: '[]', scores: 'answers in JSON 1', reward: '', isPerfect: true },
      { prompt: 'c', reference: '[]', before: undefined, after: 'no', scores: 'answers in JSON 0', reward: '', isPerfect: false },
    ]);
    answers.append({ type: 'answers', reset: true, answers: [answer(20, 'a', 'x')] });
    expect(answerRows(answers, 20)).toMatchObject([{ before: undefined, after: 'x' }]);
    const scored = { ...answer(30, 'a', '[]'), reward: 0.25, baseReward: 0.5 };
    answers.append({ type: 'answers', reset: true, answers: [scored, { ...scored, reward: 0.75 }, { ...scored, baseReward: undefined }] });
    expect(answerRows(answers, 30).map(({ reward, isPerfect }) => [reward, isPerfect])).toEqual([
      ['0.25, before 0.5', false],
      ['0.75, before 0.5', true],
      ['0.25', true],
    ]);
  });

  test('a page keeps the first and the newest of very many answers', () => {
    const answers = new WrittenAnswers();
    for (const step of [0, 1, 2, 3])
      answers.append({
        type: 'answers',
        reset: false,
        answers: Array.from({ length: 9000 }, () => ({ step, prompt: '', reference: '', answer: '', scores: {} })),
      });
    expect(answers.steps).toEqual([0, 3]);
  });

  test('lines of metrics are enough where there is no file', () => {
    expect(resultsOf(modelOf(lines))?.rows[0]).toMatchObject({ before: '2', after: '0.6' });
  });

  test('by label: recall is of the row, precision of the column', () => {
    const [ham, spam] = labelRows(required(AFTER.labels, 'labels'), BEFORE.labels);
    expect(ham).toEqual({ label: 'ham', samples: 6, recall: 5 / 6, precision: 1, recallBefore: 1, answers: [5, 1] });
    expect(spam).toEqual({ label: 'spam', samples: 4, recall: 1, precision: 4 / 5, recallBefore: 0, answers: [0, 4] });
  });
});

test('forgetting is the loss of base and tuned model, and how far their predictions are apart', () => {
  const rows = forgettingRows({ base: 3.1, tuned: 3.25, divergence: 0.042, targets: 1500 });
  expect(rows.map(({ label, before, after, change, isBetter }) => [label, before, after, change, isBetter])).toEqual([
    ['Loss', '3.1', '3.25', '+0.15', false],
    ['Divergence from the base', '–', '0.042', '', undefined],
  ]);
});
