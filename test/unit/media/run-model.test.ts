/** Tests the run page's model, built from patches: state in words, log, memory, coverage. */
import { describe, expect, test } from 'vitest';
import { coverageGrid, placeOf } from '../../../media/run/coverage-grid.ts';
import { memoryLevels, memoryRows } from '../../../media/run/memory-rows.ts';
import { sentenceOf, statusOf } from '../../../media/run/run-status.ts';
import { filterLog, LogLines } from '../../../media/shared/log-lines.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { KEPT_LOG_LINES, type MemoryPlan, type RunOverview, type RunPatch } from '../../../trainer/protocol/view/run.ts';

const overview = (change: Partial<RunOverview>): RunPatch => ({
  type: 'overview',
  overview: {
    runDir: '/runs/spam',
    name: 'spam',
    state: 'running',
    step: 0,
    totalSteps: 100,
    startedAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:01:00.000Z',
    ageSeconds: 0,
    resumable: false,
    ...change,
  },
});

function modelOf(...patches: readonly RunPatch[]): RunModel {
  const model = new RunModel();
  for (const patch of patches) model.apply(patch);
  return model;
}

describe('state', () => {
  test('training: steps, pace and time left come from the lines of metrics', () => {
    const metrics: RunPatch = {
      type: 'metrics',
      reset: true,
      length: 3,
      columns: { step: [1, 2, 40], seconds: [9, 2, 2], epoch: [0, 0, 0.4], loss: [3, 2, 0.5] },
    };
    const model = modelOf(overview({ step: 38 }), metrics);
    expect(statusOf(model)).toEqual({
      state: 'training',
      kind: 'active',
      done: 40,
      total: 100,
      facts: ['40 of 100 steps', 'epoch 0.4', '2.0 s per step', '2 min 0 s left'],
    });
    expect(sentenceOf(model)).toBe('spam training, 40 of 100 steps, epoch 0.4, 2.0 s per step, 2 min 0 s left, loss 0.5');
  });

  test('a run on a cluster says where it is', () => {
    const cluster = { jobId: '12', phase: 'waiting', text: 'pending (Resources), next in its partition' } as const;
    const model = modelOf(overview({ state: 'queued', totalSteps: 0, cluster }));
    expect(statusOf(model)).toEqual({ state: 'queued', kind: 'waiting', done: 0, total: 0, facts: [] });
    expect(sentenceOf(model)).toBe('spam queued, Slurm job 12: pending (Resources), next in its partition');
  });

  test('a run of the daemon says which part of the machine it has, until it ends', () => {
    const share = { processes: 2, cores: 2, allCores: 8, gpus: [], allGpus: 0 };
    const status = (change: Partial<RunOverview>): string =>
      sentenceOf(modelOf(overview({ step: 1, job: { id: '1', state: 'running', share }, ...change })));
    expect(status({})).toContain('spam training, 2 processes on 2 of 8 cores, 1 of 100 steps');
    expect(status({ state: 'finished' })).not.toContain('cores');
  });

  test('a preparing run shows its current phase', () => {
    const progress = { type: 'progress', phase: 'load', done: 12, total: 272, unit: 'tensors' } as const;
    expect(statusOf(modelOf(overview({ state: 'preparing', totalSteps: 0, job: { id: '1', state: 'running', progress } })))).toMatchObject({
      state: 'preparing',
      done: 12,
      total: 272,
      facts: ['loading the model', '12 of 272 tensors'],
    });
  });

  test('an evaluation during training does not move the progress bar', () => {
    const progress = { type: 'progress', phase: 'evaluate', done: 3, total: 9, unit: 'batches' } as const;
    const status = statusOf(modelOf(overview({ step: 50, job: { id: '1', state: 'running', progress } })));
    expect(status).toMatchObject({ done: 50, total: 100, facts: ['50 of 100 steps', 'evaluating 3 of 9 batches'] });
  });

  test.each([
    [overview({ job: { id: '1', state: 'stopping' } }), 'stopping', 'active'],
    [overview({ state: 'finished', step: 100 }), 'finished', 'good'],
    [overview({ state: 'failed', reason: 'the loss is not a finite number' }), 'failed', 'bad'],
    [overview({ state: 'interrupted' }), 'interrupted', 'bad'],
    [{ type: 'missing', runDir: '/runs/spam', job: { id: '1', state: 'queued' } }, 'queued', 'waiting'],
    [{ type: 'missing', runDir: '/runs/spam' }, 'no run here', 'waiting'],
  ] as const)('%#: %o is %s', (patch, state, kind) => expect(statusOf(modelOf(patch))).toMatchObject({ state, kind }));

  test('a reason with a list is one paragraph', () => {
    const reason = 'a.safetensors:\n  - w0 is cut off\n  - w1 is cut off\n  - w2 is cut off\nDownload it again.';
    const shown = 'a.safetensors: w0 is cut off, and 2 more. Download it again.';
    expect(statusOf(modelOf(overview({ state: 'failed', reason }))).reason).toBe(shown);
  });

  test('a run that was deleted and begun anew is drawn from its new patches', () => {
    const model = modelOf(overview({}), { type: 'missing', runDir: '/runs/spam' });
    expect([model.overview, model.name]).toEqual([undefined, 'spam']);
    model.apply(overview({ name: 'again' }));
    expect([model.missing, model.name, model.recipeName]).toEqual([undefined, 'spam', 'again']);
  });

  test('a later run of a recipe is called by its folder, which tells the recipe', () => {
    const model = modelOf(overview({ name: 'spam', runDir: '/runs/spam-2' }));
    expect([model.name, model.recipeName]).toEqual(['spam-2', undefined]);
    model.givenName = 'b/spam-2';
    expect([model.name, model.recipeName]).toEqual(['b/spam-2', undefined]);
  });
});

describe('log', () => {
  const line = (level: string, text: string): string => `2026-01-01T00:00:00.000Z ${level} ${text}`;

  test('lines without a time belong to the entry before, over patches too', () => {
    const log = new LogLines();
    log.append({ reset: true, lines: [line('info', 'samples:'), '— one', line('error', 'failed')] });
    log.append({ reset: false, lines: ['    at step 3'] });
    expect(log.entries.map(({ level, text }) => [level, text])).toEqual([
      ['info', 'samples:\n— one'],
      ['error', 'failed\n    at step 3'],
    ]);
  });

  test('is filtered by level and by words', () => {
    const log = new LogLines();
    log.append({
      reset: true,
      lines: [line('debug', 'Memory 1'), line('info', 'loss 2'), line('warning', 'memory low'), line('error', 'out')],
    });
    expect(filterLog(log.entries, 'info', '').length).toBe(3);
    expect(filterLog(log.entries, 'debug', ' MEMORY ').map(({ text }) => text)).toEqual(['Memory 1', 'memory low']);
    expect(filterLog(log.entries, 'error', 'memory')).toEqual([]);
  });

  test('keeps the newest, with numbers that continue', () => {
    const log = new LogLines();
    const lines = Array.from({ length: 2 * KEPT_LOG_LINES }, (_, i) => line('info', String(i)));
    for (let i = 0; i < lines.length; i += 500) log.append({ reset: i === 0, lines: lines.slice(i, i + 500) });
    expect(log.entries.length).toBeLessThanOrEqual(1.25 * KEPT_LOG_LINES);
    expect(log.entries.at(-1)).toMatchObject({ id: lines.length - 1, text: String(lines.length - 1) });
    log.append({ reset: true, lines: [line('info', 'anew')] });
    expect(log.entries.map(({ text }) => text)).toEqual(['anew']);
  });
});

describe('memory', () => {
  const plan: MemoryPlan = {
    predicted: {
      weightsBytes: 500,
      trainedBytes: 10,
      gradientBytes: 20,
      optimizerBytes: 40,
      activationBytes: 300,
      engineOverheadBytes: 600,
      totalBytes: 1470,
    },
    recompute: 'none',
    device: 'cpu',
    baselineBytes: 400,
    availableBytes: 9000,
    fits: true,
  };

  test('the causes add up to what was predicted and to what was measured', () => {
    const rows = memoryRows(plan, 1300);
    expect(rows.reduce((sum, row) => sum + row.predicted, 0)).toBe(plan.predicted.totalBytes);
    expect(rows.reduce((sum, row) => sum + (row.measured ?? 0), 0)).toBe(1300);
    expect(memoryLevels(rows).at(-1)?.to).toBe(plan.predicted.totalBytes);
  });

  test('measurements taken during loading are shown next to the prediction', () => {
    const held = { weightsBytes: 520, trainedBytes: 0, gradientBytes: 20, optimizerBytes: 44 };
    const rows = memoryRows({ ...plan, held }, 1300);
    expect(rows.map(({ measured }) => measured)).toEqual([400, 520, 0, 20, 44, 1300 - 400 - 584]);
  });

  test('weights that reuse the memory of scoring are counted by their shapes, not as nothing', () => {
    const held = { weightsBytes: 0, trainedBytes: 0, gradientBytes: 20, optimizerBytes: 44 };
    const [, weights, ...others] = memoryRows({ ...plan, held }, 1300);
    expect(weights).toMatchObject({
      measured: plan.predicted.weightsBytes,
      note: expect.stringMatching(/^computed from their shapes: .*reused/),
    });
    expect(others.at(-1)?.measured).toBe(1300 - 400 - plan.predicted.weightsBytes - 64);
    expect(others[1]?.note).toContain('growth of the process');
  });

  test('has no measured values where nothing was measured', () => {
    expect(memoryRows(plan, undefined).every(row => row.measured === undefined)).toBe(true);
    expect(memoryRows({ ...plan, device: 'gpu' }, 1300).every(row => row.measured === undefined)).toBe(true);
  });
});

describe('coverage', () => {
  test.each([
    ['model.layers.12.mlp.up_proj', '12', 'mlp.up_proj'],
    ['lm_head', '', 'lm_head'],
    ['layer1.0.conv1', '0', 'conv1'],
    ['encoder.blocks.3', '3', 'blocks'],
  ])('%s lies in block %j', (module, block, kind) => expect(placeOf(module)).toMatchObject({ block, kind }));

  test('blocks of the same number in two stacks are two', () => {
    const module = (name: string) => ({ module: name, rows: 10, trainedRows: 1, parameters: 100, trainable: 10 });
    const { kinds } = coverageGrid({ modules: [module('encoder.layers.0.q'), module('decoder.layers.0.q')] });
    expect(kinds.map(({ kind }) => kind)).toEqual(['encoder.layers.*.q', 'decoder.layers.*.q']);
  });

  test('kinds by blocks, with gaps and what is outside', () => {
    const module = (name: string, trainedRows: number) => ({
      module: name,
      rows: 10,
      trainedRows,
      parameters: 100,
      trainable: 10 * trainedRows,
    });
    const { blocks, kinds } = coverageGrid({ modules: [module('m.10.q', 2), module('m.2.q', 3), module('m.2.k', 1), module('head', 5)] });
    expect(blocks).toEqual(['2', '10', '']);
    expect(kinds.map(({ kind, modules }) => [kind, ...modules.map(found => found?.trainedRows)])).toEqual([
      ['q', 3, 2, undefined],
      ['k', 1, undefined, undefined],
      ['head', undefined, undefined, 5],
    ]);
    expect(kinds[0]).toMatchObject({ count: 2, rows: 20, trainedRows: 5, trainable: 50 });
  });
});
