/** Tests the files that a run writes, the checkpoints it keeps, how it ends when something fails, and how it is evaluated. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseMemory } from '../../../../client/pages/run-files.ts';
import { checkResult } from '../../../../trainer/cli/check-result.ts';
import { usualLoss } from '../../../../trainer/handlers/train/check-loss.ts';
import { required } from '../../../../trainer/narrow.ts';
import type { JobRequest } from '../../../../trainer/protocol/messages/job-messages.ts';
import { readMetrics } from '../../../../trainer/run/metrics-file.ts';
import { summarizeRun } from '../../../../trainer/run/run-folder.ts';
import { describeFailure } from '../../../../trainer/run-error.ts';
import { metricsLine, parseJson, readJson, readRecord } from '../../../support/files/read-json.ts';
import { runInProcess, stopAfter } from '../../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const dirOf = (name: string): string => join(task.folder, name);
const recipe = (...overrides: string[]) => task.recipe('engine=portable', ...overrides);
const train = (name: string, ...overrides: string[]) =>
  runInProcess({ kind: 'train', recipe: recipe(...overrides), runDir: dirOf(name), context });
const checkpoints = (name: string): string[] => readdirSync(join(dirOf(name), 'checkpoints')).sort();
const failureOf = async (work: () => Promise<unknown>) =>
  work().then(
    () => undefined,
    error => describeFailure(error).event,
  );

describe('a run for TensorBoard', () => {
  const eventsOf = (name: string): number => {
    const folder = join(dirOf(name), 'tensorboard');
    const [file = ''] = readdirSync(folder);
    const bytes = readFileSync(join(folder, file));
    let events = 0;
    for (let at = 0; at < bytes.length; events++) at += 16 + Number(bytes.readBigUInt64LE(at));
    return events;
  };
  const linesOf = (name: string): number =>
    readFileSync(join(dirOf(name), 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n').length;

  test('has an event for each line of its metrics, after a resume, too', async () => {
    await train('events', 'report_to=tensorboard', 'num_train_epochs=1', 'eval_strategy=epoch');
    expect(eventsOf('events')).toBe(1 + linesOf('events'));
    await runInProcess({ kind: 'resume', runDir: dirOf('events'), overrides: ['num_train_epochs=2'], context });
    expect(linesOf('events')).toBeGreaterThan(12);
    expect(eventsOf('events')).toBe(1 + linesOf('events'));
  });

  test('is trained though its event file can be written no more, which is said once', async () => {
    const folder = join(dirOf('no-events'), 'tensorboard');
    const block = ({ type }: { readonly type: string }): void => {
      if (type !== 'metrics' || !existsSync(folder)) return;
      const [file = ''] = readdirSync(folder);
      rmSync(join(folder, file), { recursive: true });
      mkdirSync(join(folder, file));
    };
    const request = { kind: 'train', recipe: recipe('report_to=tensorboard', 'max_steps=4'), runDir: dirOf('no-events'), context } as const;
    const { value, events } = await runInProcess(request, block);
    expect(value).toMatchObject({ state: 'finished', steps: 4 });
    expect(events.filter(event => event.type === 'log' && event.message.includes('no longer written for TensorBoard'))).toHaveLength(1);
  });
});

describe('a run for trackers', () => {
  const trackers = {
    mlflow: { uri: 'http://127.0.0.1:1', experiment: 'x' },
    trackio: { folder: join(task.folder, 'trackio'), project: 'x' },
  };

  test('reports to those that work, and leaves the others behind', async () => {
    const request = {
      kind: 'train',
      recipe: recipe('report_to=[mlflow, trackio]', 'max_steps=2'),
      runDir: dirOf('tracked'),
      context: { ...context, trackers },
    } as const;
    const { value, events } = await runInProcess(request);
    expect(value).toMatchObject({ state: 'finished', steps: 2 });
    const warnings = events.flatMap(event => (event.type === 'log' && event.level === 'warning' ? [event.message] : []));
    expect(warnings).toEqual([expect.stringMatching(/^the metrics are no longer written for MLflow \(http:.* cannot be reached: /)]);
    const [writer = ''] = readdirSync(join(trackers.trackio.folder, 'inbox'));
    const folder = join(trackers.trackio.folder, 'inbox', writer);
    const records = readdirSync(folder).flatMap(file => readFileSync(join(folder, file), 'utf8').trim().split('\n'));
    const lines = readFileSync(join(dirOf('tracked'), 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(records).toHaveLength(lines.length);
  });
});

describe('a run that goes well', () => {
  test('learns, and leaves a folder that says everything', async () => {
    const { value, events } = await train('good', 'num_train_epochs=6', 'max_grad_norm=1');
    expect(value).toMatchObject({
      state: 'finished',
      steps: 36,
      totalSteps: 36,
      checkpoint: join(dirOf('good'), 'checkpoints', 'step-000036'),
    });
    expect(value.after?.loss).toBeLessThan((value.before?.loss ?? 0) / 1.3);
    expect(value.trainable).toBe(7680);
    expect(readdirSync(dirOf('good')).sort()).toEqual([
      'checkpoints',
      'coverage.json',
      'evaluation.json',
      'log.txt',
      'memory.json',
      'metrics.jsonl',
      'recipe.yaml',
      'scores.safetensors',
      'scores.safetensors.json',
      'selection.json',
      'state.json',
      'summary.json',
    ]);
    expect(readRecord(join(dirOf('good'), 'summary.json'))).toEqual(JSON.parse(JSON.stringify(value)));
    expect(readFileSync(join(dirOf('good'), 'log.txt'), 'utf8')).toContain('⟦ spam</s>⟧');
    expect(await summarizeRun(dirOf('good'))).toMatchObject({ state: 'finished', step: 36 });
    const progress = events.flatMap(event => (event.type === 'progress' && event.phase === 'train' ? [event] : []));
    expect(progress.at(-1)).toMatchObject({ done: 36, total: 36, unit: 'steps' });
    expect(progress.at(-1)?.ratePerSecond).toBeGreaterThan(0);
  });

  test('predictions are recorded with the peaks of every line', () => {
    const { predicted, baselineBytes, recompute, device } = required(
      parseMemory(readFileSync(join(dirOf('good'), 'memory.json'), 'utf8')),
      'memory.json',
    );
    const { totalBytes, source, ...causes } = predicted;
    expect(source).toBe('model');
    expect(Object.values(causes).reduce((sum, bytes) => sum + bytes, 0)).toBe(totalBytes);
    expect([recompute, device]).toEqual(['none', 'cpu']);
    const lines = readFileSync(join(dirOf('good'), 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n');
    const updates = lines.map(line => parseJson(line, metricsLine)).filter(({ loss }) => loss !== undefined);
    expect(updates.length).toBe(36);
    for (const { memory_peak_bytes: peak = 0, memory_resident_bytes: resident = 0 } of updates) {
      expect(resident).toBeGreaterThan(0);
      expect(peak).toBeGreaterThanOrEqual(resident);
      expect(peak).toBeGreaterThan(baselineBytes / 2);
    }
  });

  test('the memory adds up', () => {
    const { memory } = checkResult('train', readRecord(join(dirOf('good'), 'summary.json')));
    if (memory) expect(memory.mem_M + memory.mem_FT + memory.mem_Aux).toBe(memory.mem_TTL);
  });

  test('keeps the newest checkpoints', () => expect(checkpoints('good')).toEqual(['step-000030', 'step-000036']));

  test('evaluating the run gives the numbers that it ended with', async () => {
    const summary = checkResult('train', readRecord(join(dirOf('good'), 'summary.json')));
    const evaluate = (adapter?: string) => runInProcess({ kind: 'evaluate', recipe: recipe(), adapter, context });
    expect((await evaluate(dirOf('good'))).value.loss).toBeCloseTo(summary.after?.loss ?? 0, 5);
    expect((await evaluate()).value.loss).toBeCloseTo(summary.before?.loss ?? 0, 5);
  });
});

test('load_best_model_at_end: the best stays, and is what the run hands over', async () => {
  // With this rate, the loss rises again after a while.
  const { value, events } = await train(
    'best',
    'eval_strategy=epoch',
    'num_train_epochs=4',
    'load_best_model_at_end=true',
    'save_total_limit=1',
    'learning_rate=0.2',
    'lr_scheduler_type=constant',
    'max_loss_ratio=1e9',
  );
  const evaluations = events.flatMap(event =>
    event.type === 'metrics' && event.step > 0 && event.values.eval_loss !== undefined
      ? [{ step: event.step, loss: event.values.eval_loss }]
      : [],
  );
  const best = evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(evaluations.map(({ step }) => step)).toEqual([6, 12, 18, 24]);
  expect(value.after?.loss).toBe(best.loss);
  expect(value.checkpoint).toBe(join(dirOf('best'), 'checkpoints', `step-${String(best.step).padStart(6, '0')}`));
  expect(existsSync(value.checkpoint ?? '')).toBe(true);
  const { value: evaluated } = await runInProcess({ kind: 'evaluate', recipe: recipe(), adapter: dirOf('best'), context });
  expect(evaluated.loss).toBeCloseTo(best.loss, 4);
});

test('labels that begin alike are told apart, a pass for each', async () => {
  writeFileSync(
    join(task.folder, 'three.jsonl'),
    ['sun', 'sum', 'moon'].flatMap(label => [0, 1, 2].map(i => `${JSON.stringify({ text: `${label}${i}`, label })}\n`)).join(''),
  );
  const settings = [
    'data.train=three.jsonl',
    'data.eval=three.jsonl',
    'num_train_epochs=150',
    'per_device_train_batch_size=9',
    'method=full',
    'learning_rate=0.003',
    'save_strategy="no"',
  ];
  const { value } = await train('three', ...settings);
  expect(value.before?.labels?.majority).toBeCloseTo(1 / 3);
  expect(value.after?.labels?.accuracy).toBe(1);
  expect(value.after?.labels?.confusion).toEqual({
    moon: { moon: 3 },
    sum: { sum: 3 },
    sun: { sun: 3 },
  });
});

describe('benchmarks', () => {
  const choice = join(import.meta.dirname, '..', '..', '..', 'golden', 'choice');
  const evaluated = (benchmarks: Readonly<Record<string, string>>) =>
    runInProcess({ kind: 'evaluate', recipe: recipe('data.eval=', `benchmarks=${JSON.stringify(benchmarks)}`), context });

  test('are answered without held-out data, as lm-evaluation-harness does', async () => {
    const task = z.object({ acc: z.number() });
    const { tasks } = readJson(join(choice, 'golden.json'), z.object({ tasks: z.object({ rte: task, openbookqa: task }) }));
    const { value } = await evaluated({ rte: join(choice, 'rte.jsonl'), openbookqa: join(choice, 'openbookqa.jsonl') });
    expect(value.benchmarks).toMatchObject({
      rte: { accuracy: tasks.rte.acc, questions: 3 },
      openbookqa: { accuracy: tasks.openbookqa.acc },
    });
    expect(value.loss).toBeUndefined();
  });

  test.each([
    ['with labels', []],
    ['packed', ['data.eval=plain.jsonl', 'packing=true']],
    ['with labels, packed', ['packing=true']],
  ])('are answered the same with held-out data %s', async (_, overrides) => {
    writeFileSync(join(task.folder, 'plain.jsonl'), Array.from({ length: 6 }, (_, i) => `{"text":"note ${i}"}\n`).join(''));
    const benchmarks = { openbookqa: join(choice, 'openbookqa.jsonl') };
    const { value } = await runInProcess({
      kind: 'evaluate',
      recipe: recipe(`benchmarks=${JSON.stringify(benchmarks)}`, ...overrides),
      context,
    });
    expect(value.loss).toBeGreaterThan(0);
    expect(value.benchmarks).toEqual((await evaluated(benchmarks)).value.benchmarks);
  });

  test('are answered by every evaluation of a training too, whatever it trains toward', async () => {
    const benchmarks = { openbookqa: join(choice, 'openbookqa.jsonl') };
    const file = join(task.folder, 'preferred.jsonl');
    writeFileSync(file, Array.from({ length: 6 }, (_, i) => `{"prompt":"q${i} ","chosen":"yes","rejected":"no"}\n`).join(''));
    const asked = [
      `benchmarks=${JSON.stringify(benchmarks)}`,
      'eval_benchmarks=true',
      'max_steps=2',
      'eval_strategy=steps',
      'eval_steps=1',
    ];
    const untuned = (await evaluated(benchmarks)).value.benchmarks?.openbookqa?.accuracy;
    for (const [name, ...overrides] of [
      ['benchmarks of texts', 'packing=true'],
      ['benchmarks of pairs', 'task=dpo', `data.train=${file}`, 'data.eval=', 'val_size=2'],
    ] as const) {
      const { before, after } = (await train(name, ...asked, ...overrides)).value;
      expect(before?.measures?.openbookqa).toBe(untuned);
      const lines = await readMetrics(dirOf(name));
      expect(lines.flatMap(({ eval_openbookqa: accuracy }) => accuracy ?? [])).toHaveLength(3);
      const { value } = await runInProcess({
        kind: 'evaluate',
        recipe: recipe(...asked, ...overrides),
        adapter: dirOf(name),
        context,
      });
      expect(value.benchmarks?.openbookqa?.accuracy).toBe(after?.measures?.openbookqa);
    }
  });

  test('an unrelated file is reported with line and key', async () => {
    const file = join(task.folder, 'no-arc.jsonl');
    writeFileSync(file, '{"question":"x"}\n');
    expect(await failureOf(() => evaluated({ arc_easy: file }))).toMatchObject({
      code: 'data',
      message: expect.stringMatching(/no-arc\.jsonl:1: key "choices\.text": nothing, expected a list of texts/),
    });
  });
});

describe('a run that goes wrong', () => {
  test('a loss that explodes stops it; the checkpoint from before is good', async () => {
    const failure = await failureOf(() =>
      train('diverged', 'learning_rate=100', 'warmup_steps=4', 'max_loss_ratio=1.01', 'save_strategy=steps', 'save_steps=1'),
    );
    expect(failure).toMatchObject({ code: 'loss-diverged' });
    expect(await summarizeRun(dirOf('diverged'))).toMatchObject({ state: 'failed', reason: expect.stringContaining('loss') });
    expect(checkpoints('diverged').length).toBeGreaterThan(0);
    expect(existsSync(join(dirOf('diverged'), 'lock'))).toBe(false);
  });

  test.each([
    ['the first loss', 4, { loss: 3 }, 4],
    ['that of held-out samples, where the first batch was easy by chance', 0.003, { loss: 12 }, 12],
    ['1, where the model was good from the start', 0.01, { loss: 0.02 }, 1],
    ['1, without held-out samples', 0.01, undefined, 1],
  ])('the loss is measured by %s', (_, first, before, usual) => expect(usualLoss(first, before)).toBe(usual));

  test('no training data', async () => {
    expect(await failureOf(() => train('none', 'data.train='))).toMatchObject({ code: 'no-data' });
    expect(await summarizeRun(dirOf('none'))).toMatchObject({ state: 'failed' });
  });

  test('more rows than a layer has is an error before any data is read', async () => {
    expect(await failureOf(() => train('wide', 'r=1000'))).toMatchObject({ code: 'selection' });
  });

  test('scores inside the folder to be replaced are refused and kept', async () => {
    mkdirSync(dirOf('own'), { recursive: true });
    const scores = join(dirOf('own'), 'scores.safetensors');
    writeFileSync(scores, 'an hour of work');
    const failure = await failureOf(() => train('own', `importance.scores=${scores}`, 'overwrite_output_dir=true'));
    expect(failure).toMatchObject({ code: 'output-not-empty', message: expect.stringContaining('importance.scores') });
    expect(readFileSync(scores, 'utf8')).toBe('an hour of work');
  });

  test('target_modules without a match is an error', async () => {
    expect(await failureOf(() => train('untargeted', 'target_modules=[nothing]'))).toMatchObject({ code: 'target-modules' });
  });

  const encoder = [`model=${join(import.meta.dirname, '..', '..', '..', 'golden', 'bert')}`, 'task=sequence_classification'];
  test.each([
    ['a language model', 64, []],
    ['an encoder', 32, encoder],
  ])('samples longer than the positions of %s', async (_, positions, overrides) => {
    const failure = await failureOf(() => train(`long-${positions}`, `max_length=${positions + 1}`, ...overrides));
    const message = `max_length is ${positions + 1}, but the model has ${positions} positions. Set max_length to at most ${positions}.`;
    expect(failure).toMatchObject({ code: 'data', message });
  });

  test('malformed data: file and line', async () => {
    writeFileSync(join(task.folder, 'broken.jsonl'), '{"text": "a", "label": "x"}\n{"text": "a"\n');
    const failure = await failureOf(() => train('broken', 'data.train=broken.jsonl'));
    expect(failure).toMatchObject({ code: 'data', message: expect.stringMatching(/broken\.jsonl:2/) });
  });
});

describe('stopping', () => {
  test('without saving: the checkpoints from before stay, nothing is added', async () => {
    const request: JobRequest = { kind: 'train', recipe: recipe('save_strategy=steps', 'save_steps=2'), runDir: dirOf('dropped'), context };
    const { value } = await runInProcess(request, stopAfter(3, false));
    expect(value).toMatchObject({ state: 'stopped', steps: 3, checkpoint: null });
    expect(checkpoints('dropped')).toEqual(['step-000002']);
  });

  test('before the first update', async () => {
    const request: JobRequest = { kind: 'train', recipe: recipe(), runDir: dirOf('early'), context };
    const work = () =>
      runInProcess(
        request,
        (event, job) => event.type === 'phase' && event.name === 'data' && job.requestStop({ save: true, reason: 'asked' }),
      );
    expect(await failureOf(work)).toMatchObject({ code: 'stopped' });
    expect(await summarizeRun(dirOf('early'))).toMatchObject({ state: 'stopped', reason: 'asked' });
  });
});

describe('importance', () => {
  test('saved scores choose the rows of a run', async () => {
    const outputFile = join(task.folder, 'scores', 'taylor.safetensors');
    const measured = recipe('importance.measure=taylor_row', 'importance.samples=8');
    const { value } = await runInProcess({ kind: 'importance', recipe: measured, outputFile, context });
    expect(value).toMatchObject({ outputFile, modules: 14, samples: 8, measure: 'taylor_row' });
    await train('scored', 'importance.scores=scores/taylor.safetensors', 'max_steps=1');
    await train('computed', 'importance.measure=taylor_row', 'importance.samples=8', 'max_steps=1');
    const selection = (name: string): unknown => readRecord(join(dirOf(name), 'selection.json'));
    expect(selection('scored')).toEqual(selection('computed'));
    expect(selection('scored')).not.toEqual(selection('good'));
    expect(existsSync(join(dirOf('scored'), 'scores.safetensors'))).toBe(false);
  });
});
