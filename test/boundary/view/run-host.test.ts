/** Tests the host of a run's page with real folders: everything that exists, what is new, and what happens when files are rewound. */
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connectCompare } from '../../../client/pages/compare-host.ts';
import { connectRun } from '../../../client/pages/run-host.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { type CompareToPage, MAX_COMPARED } from '../../../trainer/protocol/view/compare.ts';
import { PATCH_LINES, type RunToPage } from '../../../trainer/protocol/view/run.ts';
import { rewindMetrics } from '../../../trainer/run/metrics-file.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';
import { metricsLine, parseLines } from '../../support/files/read-json.ts';
import { fakeSlurm } from '../../support/machine/fake-slurm.ts';
import { until } from '../../support/machine/until.ts';
import { openTestPage, type TestPage, testServices } from '../../support/pages/page-host.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const folder = mkdtempSync(join(tmpdir(), 'rowtune-view-'));
const trained = join(folder, 'trained');
const pages: { dispose(): void }[] = [];
beforeAll(async () => {
  const recipe = task.recipe('engine=portable', 'eval_strategy=steps', 'eval_steps=4', 'name=spam');
  await runInProcess({ kind: 'train', recipe, runDir: trained, context: task.context });
});
afterEach(() => {
  for (const page of pages.splice(0)) page.dispose();
});
afterAll(() => {
  for (const dir of [folder, task.folder]) rmSync(dir, { recursive: true, force: true });
});

interface Shown {
  readonly page: TestPage<RunToPage>;
  readonly model: RunModel;
  /** Triggers a look at the files, like an event of the daemon. */
  readonly look: () => void;
}

const copy = (name: string): string => {
  const runDir = join(folder, name);
  cpSync(trained, runDir, { recursive: true });
  return runDir;
};

function show(runDir: string, services = testServices()): Shown {
  const model = new RunModel();
  const page = openTestPage(connectRun, {
    state: { runDir },
    services,
    onPost: message => message.type !== 'notice' && model.apply(message),
  });
  pages.push(page);
  page.receive({ type: 'ready' });
  const look = (): void => services.store.put(jobRecord({ id: 'job', runDir }));
  return { page, model, look };
}

const linesOf = (runDir: string) => parseLines(readFileSync(join(runDir, 'metrics.jsonl'), 'utf8'), metricsLine);

/** True if the page has exactly the content of the file. */
const isWhole = (model: RunModel, runDir: string): boolean => {
  const lines = linesOf(runDir);
  return (
    model.history.length === lines.length &&
    lines.every((line, i) => Object.entries(line).every(([name, value]) => model.history.row(i)[name] === value))
  );
};

describe('a finished run', () => {
  test('is shown completely, without a daemon', async () => {
    const services = testServices();
    const { page, model } = show(trained, services);
    await until(() => model.log.entries.length > 0, 'the log');
    expect(isWhole(model, trained)).toBe(true);
    expect(model.overview).toMatchObject({ state: 'finished', name: 'spam', step: 12, totalSteps: 12, resumable: false });
    expect(model.recipe?.entries).toContainEqual(expect.objectContaining({ key: 'method', value: 'spsft' }));
    expect(model.recipe?.entries.find(({ key }) => key === 'seed')).toMatchObject({ isDefault: true, value: '42' });
    expect(model.recipe?.entries.find(({ key }) => key === 'max_length')).toMatchObject({ isDefault: false, value: '48' });
    expect(model.coverage).toMatchObject({ method: 'spsft', trainable: 7680 });
    expect(model.memory?.predicted.totalBytes).toBeGreaterThan(0);
    expect(model.summary).toMatchObject({ state: 'finished', steps: 12 });
    expect(model.log.entries.at(-1)?.text).toContain('finished after 12 updates');
    expect(page.titles).toEqual(['Run: trained']);
    expect(services.calls).toEqual([]);
  });

  test('a reloaded page gets everything again, and nothing twice', async () => {
    const { page, model } = show(trained);
    await until(() => model.log.entries.length > 0, 'the log');
    const entries = model.log.entries.length;
    page.posted.length = 0;
    page.receive({ type: 'ready' });
    await until(() => page.posted.some(({ type }) => type === 'log'), 'the log again');
    expect(isWhole(model, trained)).toBe(true);
    expect(model.log.entries.length).toBe(entries);
    expect(new Set(page.posted.map(({ type }) => type))).toEqual(
      new Set(['overview', 'recipe', 'coverage', 'memory', 'answers', 'evaluation', 'summary', 'metrics', 'log']),
    );
  });

  test('nothing is sent while nothing changes', async () => {
    const runDir = copy('rest');
    const { page, model, look } = show(runDir);
    look();
    await until(() => model.log.entries.length > 0 && model.overview?.job !== undefined, 'all of it');
    const { length } = page.posted;
    // The last look ends with the appended line, so the five before it have sent nothing.
    for (let i = 0; i < 5; i++) {
      await new Promise(resolve => setTimeout(resolve, 30));
      look();
    }
    appendFileSync(join(runDir, 'log.txt'), '2026-01-01T00:00:00.000Z info the end of the rest\n');
    look();
    await until(() => model.log.entries.at(-1)?.text === 'the end of the rest', 'the new line');
    expect(page.posted.slice(length).map(({ type }) => type)).toEqual(['log']);
  });
});

describe('files that change', () => {
  test('a run that continues from an earlier checkpoint: no line of the old end stays, however quick it is', async () => {
    const runDir = copy('rewound');
    const { model, look } = show(runDir);
    await until(() => isWhole(model, runDir), 'the first part');
    await rewindMetrics(runDir, 6);
    // More lines than before, appended at once, so that the length alone would not reveal the change.
    for (let step = 7; step <= 40; step++)
      appendFileSync(join(runDir, 'metrics.jsonl'), `${JSON.stringify({ step, epoch: 1, loss: 100 + step })}\n`);
    look();
    await until(() => isWhole(model, runDir), 'the second part');
    const { x, y } = model.history.points('loss');
    expect([...x]).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(y.at(-1)).toBe(140);
  });

  test('incomplete and damaged lines are left out', async () => {
    const runDir = copy('damaged');
    writeFileSync(
      join(runDir, 'metrics.jsonl'),
      '{"step":1,"loss":2}\nnot json\n{"loss":3}\n[1]\n{"step":2,"loss":"x","__proto__":5}\n{"step":3,"lo',
    );
    const { model } = show(runDir);
    await until(() => model.history.length > 0, 'lines');
    expect(model.history.row(0)).toMatchObject({ step: 1, loss: 2 });
    expect(model.history.length).toBe(2);
    expect([...model.history.points('loss').x]).toEqual([1]);
  });

  test('files of another version that cannot be read are left out, and the rest is shown', async () => {
    const runDir = copy('other');
    writeFileSync(join(runDir, 'coverage.json'), '{"method": 5}');
    writeFileSync(join(runDir, 'summary.json'), 'not json');
    writeFileSync(join(runDir, 'memory.json'), '[]');
    const { model } = show(runDir);
    await until(() => model.log.entries.length > 0, 'the log');
    expect([model.coverage, model.summary, model.memory]).toEqual([undefined, null, undefined]);
    expect(isWhole(model, runDir)).toBe(true);
  });

  test('a deleted run is reported, and one that begins in its place is shown from its first line', async () => {
    const runDir = copy('deleted');
    const { model, look } = show(runDir);
    await until(() => model.history.length > 0, 'lines');
    rmSync(runDir, { recursive: true });
    look();
    await until(() => model.missing !== undefined, 'the end of it');
    cpSync(trained, runDir, { recursive: true });
    writeFileSync(join(runDir, 'metrics.jsonl'), '{"step":1,"loss":2}\n');
    look();
    await until(() => model.missing === undefined && isWhole(model, runDir), 'the new one');
  });

  test('100,000 lines come in pieces, and the newest follow', async () => {
    const runDir = copy('long');
    const lines = Array.from({ length: 100_000 }, (_, i) =>
      JSON.stringify({ step: i + 1, epoch: i / 1000, loss: 1 / (i + 1), learning_rate: 1e-4, seconds: 0.1 }),
    );
    writeFileSync(join(runDir, 'metrics.jsonl'), `${lines.join('\n')}\n`);
    const { page, model, look } = show(runDir);
    await until(() => model.history.length === lines.length, 'all lines');
    const sizes = page.posted.flatMap(message => (message.type === 'metrics' ? [message.length] : []));
    // A patch ends with the page of the file that fills it.
    expect(Math.max(...sizes)).toBeLessThan(2 * PATCH_LINES);
    page.posted.length = 0;
    appendFileSync(join(runDir, 'metrics.jsonl'), '{"step":100001,"loss":0}\n');
    look();
    await until(() => model.history.length === lines.length + 1, 'the newest line');
    expect(page.posted.filter(({ type }) => type === 'metrics')).toEqual([
      { type: 'metrics', reset: false, length: 1, columns: { step: [100_001], loss: [0] } },
    ]);
  });
});

describe('buttons', () => {
  test.each([
    ['heatmap', 'openHeatmap'],
    ['try', 'tryModel'],
    ['export', 'exportRun'],
    ['folder', 'openRunFolder'],
    ['recipe', 'openRunRecipe'],
    ['log', 'openRunLog'],
  ])('%s asks the editor', async (action, command) => {
    const services = testServices();
    const { page } = show(trained, services);
    page.receive({ type: 'action', action });
    await until(() => services.calls.length > 0, 'the call');
    expect(services.calls).toEqual([[command, { runDir: trained }]]);
  });

  test('a run that another program trains can only be stopped there, and the page says so', async () => {
    const { page } = show(trained);
    page.receive({ type: 'action', action: 'stop' });
    await until(() => page.posted.some(({ type }) => type === 'notice'), 'the notice');
    expect(page.posted.find(({ type }) => type === 'notice')).toMatchObject({ level: 'error', message: expect.stringContaining('Ctrl-C') });
  });

  test('messages that the host does not know do nothing', async () => {
    const services = testServices();
    const { page } = show(trained, services);
    for (const message of [
      null,
      'x',
      { type: 'action', action: 'format disk' },
      { type: 'save', suggestedName: '../x', content: '' },
      { type: 'save', suggestedName: 'x.csv', content: 5 },
    ])
      page.receive(message);
    expect(services.calls.map(([name]) => name)).toEqual(['warn', 'warn', 'warn', 'warn', 'warn']);
  });

  test('a page without a run reports that it is missing', () => {
    for (const state of [{}, { runDir: 'relative' }, { runDir: 5 }]) {
      const page = openTestPage(connectRun, { state, services: testServices() });
      page.receive({ type: 'ready' });
      expect(page.posted).toEqual([{ type: 'missing', runDir: '' }]);
      page.dispose();
    }
  });
});

describe('compare', () => {
  test('each run has its own patches, and a removed run stays removed after a reload', async () => {
    const runDirs = ['one', 'two', 'three'].map(copy);
    const models = new Map(runDirs.map(runDir => [runDir, new RunModel()]));
    const page = openTestPage<CompareToPage>(connectCompare, {
      state: { runDirs: [...runDirs, runDirs[0]] },
      services: testServices(),
      onPost: message => message.type === 'patch' && models.get(message.runDir)?.apply(message.patch),
    });
    pages.push(page);
    page.receive({ type: 'ready' });
    await until(() => runDirs.every(runDir => isWhole(models.get(runDir) ?? new RunModel(), runDir)), 'all runs');
    expect(page.posted[0]).toEqual({ type: 'runs', runDirs });
    expect(page.titles).toEqual(['Compare: one, two, three']);
    expect(page.posted.some(message => message.type === 'patch' && message.patch.type === 'log')).toBe(false);
    page.receive({ type: 'remove', runDir: runDirs[1] });
    expect(page.kept).toEqual([{ runDirs: [runDirs[0], runDirs[2]] }]);
    expect(page.posted.at(-1)).toEqual({ type: 'runs', runDirs: [runDirs[0], runDirs[2]] });
  });

  test('opens only the runs that it compares', async () => {
    const services = testServices();
    const page = openTestPage<CompareToPage>(connectCompare, { state: { runDirs: [trained] }, services });
    pages.push(page);
    page.receive({ type: 'open', runDir: '/etc' });
    page.receive({ type: 'open', runDir: trained });
    await until(() => services.calls.length > 0, 'the call');
    expect(services.calls).toEqual([['openPage', { kind: 'run', state: { runDir: trained } }]]);
  });

  test('more runs than it has colors for: shows the first ones, with a notice', () => {
    const runDirs = Array.from({ length: MAX_COMPARED + 3 }, (_, i) => join(folder, `many-${i}`));
    const page = openTestPage<CompareToPage>(connectCompare, { state: { runDirs }, services: testServices() });
    page.receive({ type: 'ready' });
    expect(page.posted).toMatchObject([
      { type: 'runs', runDirs: { length: MAX_COMPARED } },
      { type: 'notice', level: 'info' },
    ]);
    page.dispose();
  });

  test('an unreadable saved state shows an empty page', () => {
    const page = openTestPage<CompareToPage>(connectCompare, { state: { runDirs: 'x' }, services: testServices() });
    page.receive({ type: 'ready' });
    expect(page.posted).toEqual([{ type: 'runs', runDirs: [] }]);
    page.dispose();
  });
});

test('a run that waits for a cluster is shown before its folder exists', async () => {
  const slurm = fakeSlurm(folder);
  const runDir = join(folder, 'waits');
  slurm.submit(runDir, '12');
  slurm.setTasks('12|PENDING|Resources||gpu');
  slurm.setWaiting('11', '12');
  const services = testServices();
  const { page, model } = show(runDir, services);
  await until(() => model.overview?.state === 'queued', 'the state');
  expect(model.overview).toMatchObject({ resumable: false, cluster: { text: 'pending (Resources), behind 1 job' } });
  page.receive({ type: 'action', action: 'jobLog' });
  const log = join(`${runDir}.slurm`, 'log-12.txt');
  await until(() => services.calls.some(([name, value]) => name === 'openFile' && value === log), 'the log');
  expect(services.calls.filter(([name]) => name !== 'openFile')).toEqual([]);
  slurm.remove();
});
