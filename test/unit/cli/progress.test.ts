/** Tests progress without a terminal: few lines, each with amount, rate and remaining time. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { progressReporter } from '../../../trainer/cli/commands/engine.ts';
import { lineView, type ProgressEvent, progressLine } from '../../../trainer/cli/show/progress.ts';

const event = (done: number, rest: Partial<ProgressEvent> = {}): ProgressEvent => ({
  type: 'progress',
  phase: 'train',
  done,
  total: 120,
  unit: 'steps',
  ...rest,
});

describe('one line', () => {
  test('slower than one a second', () =>
    expect(progressLine(event(12), { rate: 0.625, left: 172.8 }, 'loss 0.52')).toBe(
      'train 12/120 steps, loss 0.52, 1.6 s per step, 2 min 53 s left',
    ));
  test('faster than one a second', () =>
    expect(progressLine(event(12), { rate: 4, left: 27 }, '')).toBe('train 12/120 steps, 4 steps/s, 27 s left'));
  test('batches', () => expect(progressLine(event(1, { unit: 'batches' }), { rate: 0.5 }, '')).toContain('2 s per batch'));
  test('bytes', () =>
    expect(progressLine(event(50e6, { total: 100e6, unit: 'bytes', phase: 'download' }), { rate: 2e6, left: 25 }, '')).toBe(
      'download 50.0 MB of 100 MB, 2.0 MB/s, 25 s left',
    ));
  test('the message of an event replaces the metrics of the run', () =>
    expect(progressLine(event(12, { message: 'loss 0.5' }), {}, 'loss 0.52')).toBe('train 12/120 steps, loss 0.5'));
  test('the last line has no time left', () =>
    expect(progressLine(event(120), { rate: 4, left: 0 }, '')).toBe('train 120/120 steps, 4 steps/s'));
});

test('each command of an installation has lines of its own, however long the one before took', () => {
  const lines: string[] = [];
  const report = progressReporter(line => lines.push(line));
  for (const seconds of [12, 7])
    for (let elapsedSeconds = 1; elapsedSeconds <= seconds; elapsedSeconds++) report({ step: 'compile', elapsedSeconds });
  expect(lines).toEqual(['  compile: 5.0 s', '  compile: 10 s', '  compile: 5.0 s']);
});

describe('many events', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const shown = (seconds: number): string[] => {
    const lines: string[] = [];
    const view = lineView({ write: text => lines.push(text.trimEnd()) });
    for (let done = 0; done <= 120; done++) {
      view.metrics({ loss: done });
      view.update(event(done));
      vi.advanceTimersByTime((seconds * 1000) / 120);
    }
    return lines;
  };

  test('one line in five seconds, and the last', () => {
    const lines = shown(60);
    expect(lines.length).toBe(13);
    expect(lines[6]).toBe('train 60/120 steps, loss 60, 2 steps/s, 30 s left');
    expect(lines.at(-1)).toBe('train 120/120 steps, loss 120, 2 steps/s');
  });

  test('a phase that has just begun shows no rate', () => {
    const lines: string[] = [];
    const view = lineView({ write: text => lines.push(text.trimEnd()) });
    view.update(event(0, { phase: 'load', unit: 'tensors' }));
    vi.advanceTimersByTime(1);
    view.update(event(120, { phase: 'load', unit: 'tensors' }));
    expect(lines).toEqual(['load 0/120 tensors', 'load 120/120 tensors']);
  });

  test('metrics of an earlier evaluation name its step', () => {
    const lines: string[] = [];
    const view = lineView({ write: text => lines.push(text.trimEnd()) });
    view.metrics({ step: 60, eval_loss: 1.5, eval_accuracy: 0.975 });
    view.metrics({ step: 120, loss: 1 });
    view.update(event(120));
    expect(lines).toEqual(['train 120/120 steps, loss 1, eval_loss 1.5, eval_accuracy 97.5% (at step 60)']);
  });

  test('a quick phase prints its first and its last line', () => expect(shown(1).length).toBe(2));

  test('evaluations after every short epoch neither fill the log nor silence the training', () => {
    const lines: string[] = [];
    const view = lineView({ write: text => lines.push(text.trimEnd()) });
    for (let done = 1; done <= 100; done++) {
      view.update(event(done));
      view.update(event(2, { phase: 'evaluate', total: 2, unit: 'batches' }));
      vi.advanceTimersByTime(200);
    }
    expect(lines.filter(line => line.startsWith('train ')).length).toBe(4);
    expect(lines.filter(line => line.startsWith('evaluate ')).length).toBe(4);
  });
});
