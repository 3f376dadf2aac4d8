/** Tests the states of the run, compare and Try pages without the pages: events change them, and curves and sentences follow. */
import { describe, expect, test } from 'vitest';
import { startCompare, updateCompare } from '../../../media/compare/compare-state.ts';
import { chartNames, chartOf } from '../../../media/compare/curves-of-runs.ts';
import { curvesOfRun } from '../../../media/run/curves-of-run.ts';
import { startRun, updateRun } from '../../../media/run/run-state.ts';
import { evaluationNames } from '../../../media/shared/metric-names.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { smoothedText } from '../../../media/shared/series/chart-content.ts';
import { smoothingText } from '../../../media/shared/series/smooth.ts';
import { pageAt, turned } from '../../../media/shared/table/paging.ts';
import { isBusy, sentenceOf, startTry, subtitleOf, updateTry } from '../../../media/try/try-state.ts';
import type { CompareToPage } from '../../../trainer/protocol/view/compare.ts';
import type { MemoryPlan, MetricsPatch } from '../../../trainer/protocol/view/run.ts';
import type { TryAnswer, TryToPage } from '../../../trainer/protocol/view/try.ts';

const metrics = (columns: MetricsPatch['columns']): MetricsPatch => ({
  type: 'metrics',
  reset: true,
  length: columns.step?.length ?? 0,
  columns,
});

describe('the page of a run', () => {
  test('a tab from another version is not taken, and an empty notice clears the one before', () => {
    expect(startRun('future').tab).toBe('log');
    expect(startRun('memory').tab).toBe('memory');
    const state = updateRun(startRun('values'), { type: 'tab', tab: 'future' });
    expect(state.tab).toBe('values');
    const told = updateRun(state, { type: 'notice', level: 'error', message: 'no' });
    expect(told.notice?.message).toBe('no');
    expect(updateRun(told, { type: 'notice', level: 'info', message: '' }).notice).toBeUndefined();
  });

  test('patches fill the model', () => {
    const state = updateRun(startRun(undefined), metrics({ step: [1], loss: [3] }));
    expect(state.model.history.last('loss')).toBe(3);
  });
});

describe('the curves of a run', () => {
  test('the memory of a GPU is a curve where it was counted', () => {
    const onGpu = new RunModel();
    onGpu.apply(metrics({ step: [1, 2], memory_peak_bytes: [10, 20], gpu_memory_peak_bytes: [700, 800] }));
    const { curves } = curvesOfRun(onGpu, settings).memory;
    expect(curves.map(({ label }) => label)).toEqual(['peak of the GPU', 'peak', 'resident']);
    expect([...(curves[0]?.points.y ?? [])]).toEqual([700, 800]);
  });

  const model = new RunModel();
  model.apply(metrics({ step: [0, 1, 2], loss: [null, 4, 2], eval_loss: [5, null, 1], memory_peak_bytes: [null, 10, 20] }));
  const settings = { evaluation: '', weight: 0, isLogarithmic: false };

  test('a smoothed curve stands in front of its measured values, which the legend shows', () => {
    const [behind, front] = curvesOfRun(model, { ...settings, weight: 0.5 }).loss.curves;
    expect([behind?.kind, front?.kind]).toEqual(['faint', 'line']);
    expect([...(behind?.points.y ?? [])]).toEqual([4, 2]);
    // The mean of 4 and 2 in which the second counts twice as much.
    expect(smoothedText(curvesOfRun(model, { ...settings, weight: 0.5 }).loss.curves.slice(1))).toBe('smoothed line: training');
    expect(front?.points.y[1]).toBeCloseTo((4 + 2 * 2) / 3, 12);
    expect([...(front?.measured?.y ?? [])]).toEqual([4, 2]);
    expect(curvesOfRun(model, settings).loss.curves.map(({ label }) => label)).toEqual(['training', 'held-out']);
  });

  test('the margin of pairs of answers is drawn first, of training too, and can be chosen without held-out data', () => {
    const pairs = new RunModel();
    pairs.apply(
      metrics({ step: [0, 1, 2], loss: [null, 0.7, 0.5], eval_accuracy: [0.5, null, 1], eval_margin: [0, null, 3], margin: [null, 0, 2] }),
    );
    expect(evaluationNames(pairs.history.names)).toEqual(['eval_margin', 'eval_accuracy']);
    const { curves } = curvesOfRun(pairs, { ...settings, evaluation: 'eval_margin' }).evaluation;
    expect(curves.map(({ label, points }) => [label, [...points.y]])).toEqual([
      ['training', [0, 2]],
      ['margin between the rewards', [0, 3]],
    ]);
    const alone = new RunModel();
    alone.apply(metrics({ step: [1], loss: [0.7], learning_rate: [1], margin: [1] }));
    expect(evaluationNames(alone.history.names)).toEqual(['eval_margin']);
  });

  test('a run without held-out data has no curve of it, and says so in place of a promise', () => {
    const run = new RunModel();
    run.apply(metrics({ step: [1], loss: [4] }));
    const textOf = () => curvesOfRun(run, settings).evaluation.empty;
    expect(textOf()).toBe('The held-out data was not evaluated.');
    const entry = (key: string, value: string) => ({ key, value, isDefault: false, doc: '' });
    run.apply({ type: 'recipe', text: '', entries: [entry('data.eval', '[]'), entry('val_size', '0.1')] });
    expect(textOf()).toBe('The held-out data was not evaluated.');
    run.apply({ type: 'recipe', text: '', entries: [entry('data.eval', '[]'), entry('val_size', '0')] });
    expect(textOf()).toMatch(/^No held-out data\. Set data\.eval/);
    expect(curvesOfRun(run, settings).loss.curves.map(({ label }) => label)).toEqual(['training']);
  });

  test('memory has the prediction and its bands once there are measurements', () => {
    const bytes = { weightsBytes: 5, trainedBytes: 1, gradientBytes: 1, optimizerBytes: 1, activationBytes: 2, engineOverheadBytes: 3 };
    const memory: MemoryPlan = {
      predicted: { ...bytes, totalBytes: 13 },
      recompute: 'none',
      device: 'cpu',
      baselineBytes: 3,
      availableBytes: 100,
      fits: true,
    };
    const given = { throughputUnit: 'tokens', hasHeldOutData: true, isActive: true, memory } as const;
    const { curves, levels } = curvesOfRun({ ...given, history: model.history }, settings).memory;
    expect(curves.map(({ label }) => label)).toEqual(['predicted', 'peak', 'resident']);
    expect([...(curves[0]?.points.x ?? [])]).toEqual([1, 2]);
    expect(levels?.at(-1)?.to).toBe(13);
    const before = curvesOfRun({ ...given, history: new RunModel().history }, settings).memory;
    expect(before.levels ?? []).toEqual([]);
  });

  test('the smoothing says how many points a value averages', () => {
    expect([0, 0.5, 0.75, 0.999].map(smoothingText)).toEqual(['off', 'averages 2 points', 'averages 4 points', 'averages 1000 points']);
  });
});

describe('the page of a comparison', () => {
  const runs = (...runDirs: string[]): CompareToPage => ({ type: 'runs', runDirs });

  test('a color stays with its run, and a new run takes the first free one', () => {
    const begun = updateCompare(startCompare(undefined), runs('/a', '/b', '/c'));
    const next = updateCompare(updateCompare(begun, runs('/a', '/c')), runs('/a', '/c', '/d'));
    expect(next.runs.map(({ runDir, look }) => [runDir, look])).toEqual([
      ['/a', 0],
      ['/c', 2],
      ['/d', 1],
    ]);
    expect(next.runs[0]?.model).toBe(begun.runs[0]?.model);
  });

  test('hidden curves stay hidden over a reload; what was kept is not trusted', () => {
    const state = updateCompare(startCompare(['/b', 3]), runs('/a', '/b'));
    expect(state.runs.map(({ isShown }) => isShown)).toEqual([true, false]);
    const shown = updateCompare(state, { type: 'show', runDir: '/b', isShown: true });
    expect(shown.hidden).toEqual([]);
    expect(startCompare('none').hidden).toEqual([]);
  });

  test('a patch fills its run only; measurements and memory are never smoothed', () => {
    const state = updateCompare(startCompare(undefined), runs('/a', '/b'));
    const patch = metrics({ step: [1, 2], loss: [4, 2], eval_loss: [null, 1] });
    updateCompare(state, { type: 'patch', runDir: '/a', patch });
    expect(chartNames(state.runs)).toEqual(['loss', 'eval_loss']);
    const settings = { axis: 'step', weight: 0.5, isLogarithmic: true } as const;
    const [a, b] = chartOf(state.runs, 'loss', settings).curves;
    expect([a?.points.x.length, b?.points.x.length]).toEqual([2, 0]);
    expect(a?.measured).toBeDefined();
    expect(chartOf(state.runs, 'eval_loss', settings).curves[0]?.measured).toBeUndefined();
    expect(chartOf(state.runs, 'learning_rate', settings).logarithmic).toBe(false);
  });
});

describe('the page of a trial', () => {
  const answer = (change: Partial<TryAnswer> = {}): TryAnswer => ({ side: 'tuned', text: '', state: 'waiting', ...change });
  const view: TryToPage = {
    type: 'view',
    label: 'spam',
    model: '/models/base',
    sides: ['base', 'tuned'],
    comparesAnswers: false,
    readsImages: false,
    attached: [],
    rounds: [],
  };
  const round: TryToPage = { type: 'round', round: { prompt: 'q', answers: [answer({ side: 'base', state: 'done' }), answer()] } };

  test('text grows the answer of its side to the last question', () => {
    const text = (chunk: string): TryToPage => ({ type: 'text', side: 'tuned', chunk });
    const state = [view, round, text('a'), text('b')].reduce(updateTry, startTry);
    expect(state.rounds.at(-1)?.answers.map(each => each.text)).toEqual(['', 'ab']);
    expect(updateTry(updateTry(startTry, view), text('a')).rounds).toEqual([]);
  });

  test('it is busy until every answer has ended', () => {
    const state = [view, round].reduce(updateTry, startTry);
    expect(isBusy(state)).toBe(true);
    expect(isBusy(updateTry(state, { type: 'answer', answer: answer({ state: 'stopped' }) }))).toBe(false);
  });

  test('a reason why an image was refused stays while other images arrive, and goes with the next removal', () => {
    const attached = [{ name: 'a.png', thumbnail: 'data:image/webp;base64,AA==', bytes: 1 }];
    const refused = [view, { type: 'attached', attached: [], problem: 'Too large.' } as const].reduce(updateTry, startTry);
    const added = updateTry(refused, { type: 'attached', attached });
    expect([refused.problem, added.problem, added.attached]).toEqual(['Too large.', 'Too large.', attached]);
    expect(updateTry(added, { type: 'attached', attached: [] }).problem).toBeUndefined();
    expect(updateTry(added, { type: 'attached', attached, problem: '' }).problem).toBe('');
    expect(sentenceOf({ type: 'attached', attached })).toBe('1 image attached.');
    expect(sentenceOf({ type: 'attached', attached, problem: 'Too large.' })).toBe('Too large.');
    expect(sentenceOf({ type: 'attached', attached, problem: '' })).toBeUndefined();
  });

  test('an answer is announced with the name of its model', () => {
    expect(sentenceOf({ type: 'answer', answer: answer({ state: 'done', text: 'yes' }) })).toBe('Tuned model answered: yes');
    expect(sentenceOf({ type: 'answer', answer: answer({ state: 'failed', note: 'no memory' }) })).toBe('Tuned model failed: no memory');
    const labels = [
      { label: 'billing', probability: 0.876 },
      { label: 'crash', probability: 0.124 },
    ];
    expect(sentenceOf({ type: 'answer', answer: answer({ state: 'done', text: 'x', labels }) })).toBe(
      'Tuned model: most likely billing, 87.6%',
    );
    expect(sentenceOf(round)).toBeUndefined();
    expect(subtitleOf(updateTry(startTry, view))).toMatch(/^base, compared with the tuned model/);
  });
});

describe('a table page by page', () => {
  test.each([
    ['the newest rows at first', undefined, 250, { from: 150, to: 250 }],
    ['fewer rows than a page', undefined, 30, { from: 0, to: 30 }],
    ['where the user turned to', 40, 250, { from: 40, to: 140 }],
  ])('shows %s', (_, first, length, page) => expect(pageAt(first, length, 100)).toEqual(page));

  test('turned to the end it follows new rows again', () => {
    expect(turned(undefined, 250, 100, -100)).toBe(50);
    expect(turned(50, 250, 100, -100)).toBe(0);
    expect(turned(50, 250, 100, 100)).toBeUndefined();
  });
});
