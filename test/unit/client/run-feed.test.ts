/** Tests a page that reloads while its run is being read: an older look must not remove any of the history. */
import { expect, test } from 'vitest';
import { RunFeed } from '../../../client/pages/run-feed.ts';
import type { RunInfo } from '../../../trainer/protocol/messages/rpc-messages.ts';
import type { RunPatch } from '../../../trainer/protocol/view/run.ts';
import { fakeDaemon } from '../../support/daemon/fake-daemon.ts';
import { jobRecord } from '../../support/daemon/job-record.ts';
import { until } from '../../support/machine/until.ts';
import { testServices } from '../../support/pages/page-host.ts';

const RUN = '/runs/spam';
const LINES = [1, 2, 3].map(step => JSON.stringify({ step, epoch: 0, loss: 1 / step }));
const ANSWER = { step: 2, prompt: 'Hi', reference: 'Hello', answer: 'x'.repeat(9000), scores: { json: 0 } };
const ANSWERS = [JSON.stringify(ANSWER), '{"step": 3}', 'half of a li'];

const RUNNING = {
  runDir: RUN,
  name: 'spam',
  state: 'running',
  step: 3,
  totalSteps: 9,
  startedAt: '',
  updatedAt: '2026-01-02T00:00:00Z',
  ageSeconds: 0,
} as const;

/** Services with a remote daemon, whose answers about files `onTail` may hold back. */
function remoteServices(onTail: (file: string) => void = () => undefined, run: RunInfo = RUNNING) {
  const daemon = fakeDaemon({
    listRuns: () => ({ truncated: false, runs: [run] }),
    tailRun: async ({ file, from }) => {
      onTail(file);
      const lines = (file === 'metrics' ? LINES : file === 'answers' ? ANSWERS : []).slice(from);
      return { lines, next: from + lines.length, version: 'one', more: false, rewound: false };
    },
  });
  return { ...testServices(), isRemote: () => true, daemon: async () => daemon };
}

test('every line arrives if the run begins again during the first look', async () => {
  const patches: RunPatch[] = [];
  let begins = 0;
  let feed: RunFeed | undefined;
  const services = remoteServices(file => {
    // During the first look, after the state and before the lines.
    if (file !== 'summary' || begins > 0) return;
    begins++;
    patches.length = 0;
    feed?.begin();
  });
  feed = new RunFeed({ runDir: RUN, services, withLog: true, onPatch: patch => void patches.push(patch) });
  feed.begin();
  const steps = () => patches.flatMap(patch => (patch.type === 'metrics' ? (patch.columns.step ?? []) : []));
  await until(() => patches.some(({ type }) => type === 'log'), 'the second look');
  feed.dispose();
  expect(begins).toBe(1);
  expect(steps()).toEqual([1, 2, 3]);
  const answers = patches.flatMap(patch => (patch.type === 'answers' ? patch.answers : []));
  expect(answers).toEqual([{ ...ANSWER, answer: 'x'.repeat(2000) }]);
});

test.each([
  ['2026-01-01T00:00:00Z', undefined],
  ['2026-01-03T00:00:00Z', 'ended'],
])('a job that ended at %s, while a run is at work since the 2nd: %s', async (endedAt, id) => {
  const patches: RunPatch[] = [];
  const services = remoteServices();
  services.store.put(jobRecord({ id: 'ended', state: 'stopped', runDir: RUN, endedAt }));
  const feed = new RunFeed({ runDir: RUN, services, withLog: false, onPatch: patch => void patches.push(patch) });
  feed.begin();
  const overviews = () => patches.flatMap(patch => (patch.type === 'overview' ? [patch.overview] : []));
  await until(() => overviews().length > 0, 'the first look');
  feed.dispose();
  expect(overviews().at(-1)?.job?.id).toBe(id);
});

test.each([
  ['2026-01-01T00:00:00Z', 'stopped at your request'],
  [
    '2026-01-03T00:00:00Z',
    'The run could not be resumed: no checkpoint can be read: one is short; two is short. Restore a copy of a checkpoint.',
  ],
])('a resume that failed at %s, of a run written on the 2nd: %s', async (createdAt, reason) => {
  const patches: RunPatch[] = [];
  const services = remoteServices(undefined, { ...RUNNING, state: 'stopped', reason: 'stopped at your request' });
  const failure = {
    code: 'checkpoint-damaged',
    message: 'no checkpoint can be read:\n  one is short\n  two is short',
    hint: 'Restore a copy of a checkpoint',
  };
  services.store.put(jobRecord({ kind: 'resume', state: 'failed', runDir: RUN, createdAt, failure }));
  const feed = new RunFeed({ runDir: RUN, services, withLog: false, onPatch: patch => void patches.push(patch) });
  feed.begin();
  const overviews = () => patches.flatMap(patch => (patch.type === 'overview' ? [patch.overview] : []));
  await until(() => overviews().length > 0, 'the first look');
  feed.dispose();
  expect(overviews().at(-1)?.reason).toBe(reason);
});
