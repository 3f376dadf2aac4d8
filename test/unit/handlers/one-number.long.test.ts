/** Tests that the loss and the held-out numbers of a run are the same in its files, in its events, on the command line and in the views. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricsPatch } from '../../../client/pages/metric-lines.ts';
import { parseMemory, parseSummary } from '../../../client/pages/run-files.ts';
import { runTree } from '../../../client/views/run-tree.ts';
import { resultColumns } from '../../../media/compare/results.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { runTable } from '../../../trainer/cli/show/run-table.ts';
import type { TrainResult } from '../../../trainer/handlers/train/train-run.ts';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { required } from '../../../trainer/narrow.ts';
import { estimateRecipe } from '../../../trainer/plan/memory/predict.ts';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { byteSize, compact } from '../../../trainer/protocol/text/format.ts';
import { summarizeRun } from '../../../trainer/run/run-folder.ts';
import { metricsLine, parseJson, readRecord } from '../../support/files/read-json.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
afterAll(() => rmSync(task.folder, { recursive: true, force: true }));
const { context } = task;
const dirOf = (name: string): string => join(task.folder, name);
const request = (name: string, ...overrides: string[]) =>
  ({
    kind: 'train',
    recipe: task.recipe('engine=portable', 'max_steps=7', 'logging_steps=3', ...overrides),
    runDir: dirOf(name),
    context,
  }) as const;
const linesOf = (name: string): readonly string[] =>
  readFileSync(join(dirOf(name), 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');

/** Collects everything that shows numbers of a run. */
async function shown(name: string, value: TrainResult, events: readonly WorkerEvent[]) {
  const lines = linesOf(name).map(line => parseJson(line, metricsLine));
  const run = await summarizeRun(dirOf(name));
  if (run === undefined) throw new Error('no run');
  const model = new RunModel();
  model.apply(metricsPatch(linesOf(name), true));
  model.apply({
    type: 'summary',
    summary: required(parseSummary(readFileSync(join(dirOf(name), 'summary.json'), 'utf8')), 'summary.json'),
  });
  const column = (id: string) => resultColumns([model]).find(found => found.id === id)?.values[0];
  const told: Record<string, number> = Object.assign({}, ...events.flatMap(event => (event.type === 'metrics' ? [event.values] : [])));
  const item = runTree({ runs: [run], jobs: [], nowMs: 0 })[0]?.items[0];
  return {
    loss: {
      metrics: lines.findLast(line => line.loss !== undefined)?.loss,
      summary: value.loss,
      state: run.loss,
      events: told.loss,
      compare: column('loss'),
      legend: model.history.last('loss'),
    },
    held: {
      summary: value.after?.loss,
      state: run.metrics?.eval_loss,
      events: told.eval_loss,
      compare: column('eval_loss'),
    },
    accuracy: { summary: value.after?.labels?.accuracy, state: run.metrics?.eval_accuracy, events: told.eval_accuracy },
    tree: item?.description ?? '',
    table: runTable(value, folder => folder),
    lines,
  };
}

const one = (values: Readonly<Record<string, number | null | undefined>>): number => {
  const [first, ...others] = Object.values(values);
  for (const [place, value] of Object.entries(values)) expect(value, place).toBe(first);
  expect(others.length).toBeGreaterThan(1);
  expect(first).toBeTypeOf('number');
  return required(first ?? undefined, 'a number');
};

describe('a run that ends', () => {
  test('has one loss and one held-out loss wherever it is shown, the last evaluation among its lines', async () => {
    const { value, events } = await runInProcess(request('whole'));
    const found = await shown('whole', value, events);
    const [loss, held, accuracy] = [one(found.loss), one(found.held), one(found.accuracy)];
    expect(found.table).toMatch(new RegExp(`training loss +${compact(loss)}`));
    expect(found.table).toContain(compact(held));
    expect(found.tree).toContain(`accuracy ${(100 * accuracy).toFixed(1)}%`);
    const last = found.lines.at(-1);
    expect(last).toMatchObject({ step: 7, eval_loss: held, eval_accuracy: accuracy });
    expect(last?.epoch).toBe(found.lines.findLast(line => line.loss !== undefined)?.epoch);
    expect(readRecord(join(dirOf('whole'), 'evaluation.json'))).toMatchObject({ step: 7, newest: { loss: held } });
  });

  test('by its best checkpoint has the numbers of that one, and no line twice', async () => {
    const { value, events } = await runInProcess(
      request(
        'best',
        // So large that the loss rises again at the end, with the rows of this measure.
        'learning_rate=100',
        'importance.measure=magnitude',
        'lr_scheduler_type=constant',
        'max_loss_ratio=1000000',
        'eval_strategy=steps',
        'eval_steps=2',
        'save_strategy=steps',
        'save_steps=2',
        'load_best_model_at_end=true',
      ),
    );
    const found = await shown('best', value, events);
    const held = one(found.held);
    one(found.loss);
    expect(found.lines.filter(line => line.eval_loss === held)).toHaveLength(1);
    expect(value.checkpoint).not.toContain('step-000007');
  });
});

describe('a run that was stopped within a line', () => {
  test('shows the loss of its newest line, and resumed to its end the same numbers as one that was not stopped', async () => {
    const settings = ['eval_strategy=steps', 'eval_steps=5'];
    await runInProcess(request('straight', ...settings));
    const stopped = await runInProcess(request('stopped', ...settings), (event, job) => {
      if (event.type === 'metrics' && event.step === 5) job.requestStop({ save: true, reason: 'the test says so' });
    });
    const before = await shown('stopped', stopped.value, stopped.events);
    expect(stopped.value.steps).toBe(5);
    one(before.loss);
    const resumed = await runInProcess({ kind: 'resume', runDir: dirOf('stopped'), overrides: [], context });
    const after = await shown('stopped', resumed.value, [...stopped.events, ...resumed.events]);
    const quality = ({ step, loss, eval_loss: held }: Record<string, number>) => ({ step, loss, held });
    expect(after.lines.map(quality)).toEqual(linesOf('straight').map(line => quality(parseJson(line, metricsLine))));
    one(after.loss);
    one(after.held);
  });

  test('behind its last update has its evaluation once', async () => {
    // The run is interrupted between the checkpoint of the last update and the end, and writes its last output again.
    const lines = linesOf('whole');
    const { value } = await runInProcess({
      kind: 'resume',
      runDir: dirOf('whole'),
      overrides: ['max_steps=7'],
      context,
    }).catch(() => ({ value: undefined }));
    expect(value).toBeUndefined();
    const state = readRecord(join(dirOf('whole'), 'state.json'));
    writeState('whole', { ...state, state: 'running' });
    await runInProcess({ kind: 'resume', runDir: dirOf('whole'), overrides: [], context });
    expect(linesOf('whole').map(line => Object.keys(parseJson(line, metricsLine)).sort().join())).toEqual(
      lines.map(line => Object.keys(parseJson(line, metricsLine)).sort().join()),
    );
  });
});

const writeState = (name: string, state: object): void => writeFileSync(join(dirOf(name), 'state.json'), JSON.stringify(state));

test('the log of a run has the activations that the estimate gave, and says of which batch each figure is', async () => {
  const { config, tensors } = await readModelHeaders(join(task.folder, 'model'));
  const recipe = task.recipe('engine=portable', 'max_steps=1', 'recompute=cheap', 'max_length=64');
  const estimate = estimateRecipe({ recipe, headers: { config, tensors }, device: 'cpu' });
  const log = readFileSync(join(dirOf('estimated'), 'log.txt'), 'utf8');
  expect(log).toContain(`${byteSize(estimate.activationBytes)} in a full batch of 4 × 64 tokens, as rowtune estimate counts`);
  const { predicted } = required(parseMemory(readFileSync(join(dirOf('estimated'), 'memory.json'), 'utf8')), 'memory.json');
  expect(log).toMatch(new RegExp(`${byteSize(predicted.activationBytes)} activations in batches of 4 × \\d+ tokens`));
});

beforeAll(async () => {
  await runInProcess(request('estimated', 'max_steps=1', 'recompute=cheap', 'max_length=64'));
});
