/** Tests the host of a run's page while a daemon trains: a history without gaps over stop, resume, a lost connection and a reload. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectRun } from '../../../client/pages/run-host.ts';
import { openRunSource } from '../../../client/pages/run-source.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import type { RunToPage } from '../../../trainer/protocol/view/run.ts';
import type { DaemonClient } from '../../../trainer/rpc/connection/connect.ts';
import type { Daemon } from '../../../trainer/rpc/daemon.ts';
import { connectTo, startTestDaemon, until } from '../../support/daemon/daemon.ts';
import { fakeDaemon } from '../../support/daemon/fake-daemon.ts';
import { openTestPage, type TestPage, type TestServices, testServices } from '../../support/pages/page-host.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
const runDir = join(task.folder, 'runs', 'live');
let daemon: Daemon;
let client: DaemonClient;
let services: TestServices;
let page: TestPage<RunToPage>;
const model = new RunModel();

beforeAll(async () => {
  daemon = await startTestDaemon();
  client = await connectTo(daemon, true);
  services = testServices();
  await services.follow(client);
  page = openPage(model);
});
afterAll(async () => {
  page.dispose();
  await daemon.stop();
  rmSync(task.folder, { recursive: true, force: true });
});

function openPage(of: RunModel): TestPage<RunToPage> {
  const opened = openTestPage(connectRun, {
    state: { runDir },
    services,
    onPost: message => message.type !== 'notice' && of.apply(message),
  });
  opened.receive({ type: 'ready' });
  return opened;
}

const stepsOf = ({ history }: RunModel): number[] => [...history.points('loss').x];
/** State and lines arrive in separate patches. */
const soon = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 20 });
const hasNoGap = (of: RunModel): void =>
  expect(stepsOf(of)).toEqual(Array.from({ length: of.history.points('loss').x.length }, (_, i) => i + 1));

test('a page opened before the run shows it from its first update on', async () => {
  await until(() => model.missing !== undefined, 'word that nothing is there yet');
  const recipe = {
    text: stringifyRecipe(task.recipe('num_train_epochs=100000', 'engine=portable', 'save_steps=10', 'name=live')),
    fileName: 'live.rowtune.yaml',
    baseDir: task.folder,
  };
  await client.request('train', { id: 'live', recipe, runDir });
  await until(() => model.history.points('loss').x.length > 20, 'twenty updates');
  hasNoGap(model);
  await soon(() =>
    expect(model.overview).toMatchObject({
      state: 'running',
      name: 'live',
      job: { id: 'live', state: 'running', progress: { phase: 'train' } },
    }),
  );
  expect(model.coverage).toBeDefined();
  expect(model.memory).toBeDefined();
  expect(model.summary).toBeNull();
});

test('a page opened during training has the whole history', async () => {
  const late = new RunModel();
  const opened = openPage(late);
  const now = model.history.length;
  await until(() => late.history.length >= now && late.history.length > 25, 'the history');
  hasNoGap(late);
  opened.dispose();
});

test('updates made while the connection is lost are shown after it is back', async () => {
  const before = model.history.length;
  client.close();
  await client.closed;
  await until(async () => (await tailLength()) > before + 20, 'updates meanwhile');
  client = await connectTo(daemon, true);
  await services.follow(client);
  const after = await tailLength();
  await until(() => model.history.length >= after, 'the updates that were missed');
  hasNoGap(model);

  async function tailLength(): Promise<number> {
    const looker = await connectTo(daemon);
    const { next, version } = await looker.request('tailRun', { runDir, file: 'metrics', from: 0 });
    let length = next;
    for (let more = true; more; ) {
      const following = await looker.request('tailRun', { runDir, file: 'metrics', from: length, version });
      length = following.next;
      more = following.more;
    }
    looker.close();
    return length;
  }
});

test('stop and save: the page shows the stop and the summary', async () => {
  page.receive({ type: 'action', action: 'stop' });
  await until(() => model.overview?.state === 'stopped' && model.summary !== null, 'the end');
  await until(() => model.overview?.job?.state === 'stopped', 'the end of the job');
  await soon(() => expect(model.overview).toMatchObject({ resumable: true }));
  await soon(() => expect(stepsOf(model).length).toBe(model.summary?.steps));
  hasNoGap(model);
});

test('resume continues where it was: no update twice', async () => {
  const before = stepsOf(model).length;
  page.receive({ type: 'action', action: 'resume' });
  await until(() => stepsOf(model).length > before + 5, 'more updates');
  hasNoGap(model);
  await soon(() => expect(model.overview?.state).toBe('running'));
  expect(model.summary).toBeNull();
});

test('abort ends it', async () => {
  page.receive({ type: 'action', action: 'abort' });
  await until(() => model.overview?.job?.state === 'aborted', 'the end');
  hasNoGap(model);
  expect(services.calls.filter(([name]) => name === 'showError')).toEqual([]);
});

test('a run of another machine is read through the daemon', async () => {
  const there = join(task.folder, 'not', 'here');
  const asked: unknown[] = [];
  const far = {
    runDir: there,
    name: 'far',
    state: 'finished',
    step: 1,
    totalSteps: 1,
    startedAt: '',
    updatedAt: '',
    ageSeconds: 0,
  } as const;
  const daemon = fakeDaemon({
    listRuns: params => {
      asked.push(['listRuns', params]);
      return { runs: [far], truncated: false };
    },
    tailRun: params => {
      asked.push(['tailRun', params]);
      return { lines: ['name: far'], next: 1, rewound: false, more: false, version: '1' };
    },
  });
  const source = openRunSource(there, { isRemote: () => true, daemon: async () => daemon });
  expect(await source.info()).toMatchObject({ name: 'far' });
  expect((await source.tail('recipe', 0, '')).lines).toEqual(['name: far']);
  expect(asked).toEqual([
    ['listRuns', { folders: [there] }],
    ['tailRun', { runDir: there, file: 'recipe', from: 0, version: '' }],
  ]);
});
