/** Tests the Runs view: one item per run and job, in the correct group, with its possible actions. */
import { expect, test } from 'vitest';
import { tagsChange } from '../../../client/ask/tags-change.ts';
import { comparableRuns, newestRun, runsByPlace, runTree } from '../../../client/views/run-tree.ts';
import { methodLabel } from '../../../trainer/catalog/labels.ts';
import type { JobRecord, RunInfo } from '../../../trainer/protocol/messages/rpc-messages.ts';

const nowMs = Date.parse('2026-01-02T12:00:00Z');
const at = (minutesAgo: number): string => new Date(nowMs - minutesAgo * 60_000).toISOString();

const run = (name: string, change: Partial<RunInfo> = {}): RunInfo => ({
  runDir: `/w/runs/${name}`,
  name,
  state: 'finished',
  step: 60,
  totalSteps: 60,
  loss: 0.5,
  startedAt: at(30),
  updatedAt: at(5),
  ageSeconds: 300,
  ...change,
});

const job = (name: string, change: Partial<JobRecord> = {}): JobRecord => ({
  id: `job-${name}`,
  kind: 'train',
  state: 'running',
  priority: 0,
  title: name,
  runDir: `/w/runs/${name}`,
  createdAt: at(10),
  ...change,
});

const tree = (runs: readonly RunInfo[], jobs: readonly JobRecord[] = []) => runTree({ runs, jobs, nowMs });
const names = (groups: ReturnType<typeof tree>) => groups.map(({ name, items }) => [name, ...items.map(({ label }) => label)]);
const only = (groups: ReturnType<typeof tree>) => {
  const [item] = groups.flatMap(({ items }) => items);
  if (item === undefined) throw new Error('the tree is empty');
  return item;
};

test('runs of other folders are separated from those of the open ones', () => {
  const failed = { state: 'failed', endedAt: at(1) } as const;
  const jobs = [
    job('starting'),
    job('other', { ...failed, runDir: '/w2/runs/other', resume: { runDir: '/w2/runs/other' } }),
    job('load', { kind: 'generate', runDir: undefined }),
  ];
  const listed = [run('mine', { state: 'stopped' }), run('far', { state: 'stopped', runDir: '/disk/far' })];
  const items = tree(listed, jobs).flatMap(group => group.items);
  const labels = (folders: readonly string[]) =>
    Object.values(runsByPlace(items, folders)).map(each => each.map(({ runDir, jobId }) => runDir ?? jobId));
  for (const folder of ['/w', '/w/'])
    expect(labels([folder])).toEqual([['job-load', '/w/runs/starting', '/w/runs/mine', '/disk/far'], ['/w2/runs/other']]);
  expect(labels([])[1]).toEqual(['/w/runs/starting', '/w2/runs/other']);
});

test('groups stand in the order of what one looks for, newest run first', () => {
  const runs = [
    run('old', { startedAt: at(90) }),
    run('new', { startedAt: at(20) }),
    run('stopped', { state: 'stopped', step: 5 }),
    run('gone', { state: 'interrupted', step: 5 }),
    run('bad', { state: 'failed', reason: 'no data' }),
    run('by-hand', { state: 'running', step: 3 }),
  ];
  expect(names(tree(runs))).toEqual([
    ['Running', 'by-hand'],
    ['Stopped', 'stopped', 'gone'],
    ['Failed', 'bad'],
    ['Finished', 'new', 'old'],
  ]);
});

test('a comparison offers runs without an update last, and what has no files not at all', () => {
  const runs = [run('done', { step: 9 }), run('stopped', { state: 'stopped', step: 5 }), run('bad', { state: 'failed', step: 0 })];
  const items = tree(runs, [job('waiting', { state: 'queued' })]).flatMap(group => group.items);
  expect(items.map(({ label }) => label)).toEqual(['waiting', 'stopped', 'bad', 'done']);
  expect(comparableRuns(items).map(({ label }) => label)).toEqual(['stopped', 'done', 'bad']);
});

test('pinned runs come first, archived ones last, and tags and the note are shown', () => {
  const runs = [
    run('new', { startedAt: at(10) }),
    run('best', { startedAt: at(90), pinned: true, tags: ['mails', 'v2'], note: 'Ship it.' }),
    run('old', { archived: true, state: 'failed' }),
    run('at-work', { archived: true }),
  ];
  const groups = tree(runs, [job('at-work')]);
  expect(names(groups)).toEqual([
    ['Running', 'at-work'],
    ['Finished', 'best', 'new'],
    ['Archived', 'old'],
  ]);
  const best = groups.flatMap(({ items }) => items).find(({ label }) => label === 'best');
  expect(best?.description).toMatch(/^pinned · #mails #v2 · /);
  expect(best?.tooltip).toEqual(expect.arrayContaining(['Ship it.', '#mails #v2']));
  expect(best?.notes).toMatchObject({ pinned: true, tags: ['mails', 'v2'] });
});

test('typed tags become tags to add and tags to remove', () => {
  expect(tagsChange(['a', 'b'], ' b, c,, c ')).toEqual({ addTags: ['c'], removeTags: ['a'] });
  expect(tagsChange(['a'], '')).toEqual({ addTags: [], removeTags: ['a'] });
});

test('the last run of a recipe is the newest one, whatever its state', () => {
  const items = tree([
    run('spam', { state: 'failed', startedAt: at(50) }),
    run('spam-2', { name: 'spam', startedAt: at(20) }),
    run('spam-3', { name: 'spam', state: 'stopped', startedAt: at(30) }),
    run('spam-filter', { startedAt: at(5) }),
  ]).flatMap(group => group.items);
  expect(newestRun(items, 'spam')?.runDir).toBe('/w/runs/spam-2');
  expect(newestRun(items)?.runDir).toBe('/w/runs/spam-filter');
  expect(newestRun(items, 'ham')).toBeUndefined();
});

test('a run and its job are one item, which the job moves', () => {
  const progress = { type: 'progress', phase: 'train', done: 12, total: 60, unit: 'steps', secondsLeft: 65 } as const;
  const groups = tree(
    [run('spam', { state: 'stopped', step: 12 })],
    [job('spam', { progress, metrics: { step: 12, values: { loss: 1.25 } } })],
  );
  expect(names(groups)).toEqual([['Running', 'spam']]);
  expect(only(groups)).toMatchObject({
    description: '20% · 1 min 5 s left · loss 1.25',
    jobId: 'job-spam',
    flags: ['run', 'folder', 'scores', 'active', 'stoppable'],
  });
});

test('a run whose job has ended is shown as ended, even if the list still has it running', () => {
  const looked = run('spam', { state: 'running', step: 12, updatedAt: at(2) });
  const ended = (state: JobRecord['state']) => names(tree([looked], [job('spam', { state, endedAt: at(1) })]));
  expect([ended('stopped'), ended('succeeded'), ended('failed')]).toEqual([
    [['Stopped', 'spam']],
    [['Finished', 'spam']],
    [['Failed', 'spam']],
  ]);
  // The run was continued in a terminal.
  expect(names(tree([{ ...looked, updatedAt: at(0) }], [job('spam', { state: 'stopped', endedAt: at(1) })]))).toEqual([
    ['Running', 'spam'],
  ]);
});

test('a waiting job and a job that is no training are shown until they end', () => {
  const jobs = [
    job('next', { state: 'queued' }),
    job('scores', { kind: 'importance', runDir: undefined }),
    job('text', { kind: 'generate', runDir: undefined, state: 'succeeded' }),
  ];
  const groups = tree([], jobs);
  expect(names(groups)).toEqual([
    ['Running', 'Importance: scores'],
    ['Waiting', 'next'],
  ]);
  expect(groups[0]?.items[0]?.flags).toEqual(['job', 'active']);
});

test.each([
  ['finished', run('a'), undefined, ['run', 'folder', 'scores', 'deletable', 'adapter', 'answers']],
  [
    'stopped',
    run('a', { state: 'stopped', step: 5 }),
    undefined,
    ['run', 'folder', 'scores', 'resumable', 'deletable', 'adapter', 'answers'],
  ],
  [
    'stopped before its first checkpoint',
    run('a', { state: 'stopped', step: 3, resumable: false }),
    undefined,
    ['run', 'folder', 'scores', 'deletable'],
  ],
  ['stopped before its first step', run('a', { state: 'stopped', step: 0 }), undefined, ['run', 'folder', 'deletable']],
  [
    'failed with an offer to resume',
    run('a', { state: 'failed', step: 0 }),
    job('a', { state: 'failed', resume: { runDir: '/w/runs/a' } }),
    ['run', 'folder', 'resumable', 'deletable'],
  ],
  ['at work without a job', run('a', { state: 'running', step: 5 }), undefined, ['run', 'folder', 'scores']],
  [
    'of LoRA, which scores nothing',
    run('a', { method: 'lora', task: 'causal_lm' }),
    undefined,
    ['run', 'folder', 'deletable', 'adapter', 'answers'],
  ],
  [
    'of a classifier, which writes nothing',
    run('a', { method: 'spsft', task: 'image_classification' }),
    undefined,
    ['run', 'folder', 'scores', 'deletable', 'adapter'],
  ],
])('what can be done to a run that is %s', (_, info, record, flags) => {
  expect(only(tree([info], record ? [record] : [])).flags).toEqual(flags);
});

test('a failed start without a folder is shown for a day', () => {
  const failure = { code: 'model-file', message: 'there is no model' };
  const failed = (minutesAgo: number) => job('spam', { state: 'failed', failure, endedAt: at(minutesAgo) });
  expect(only(tree([], [failed(10)]))).toMatchObject({ group: 'Failed', description: 'there is no model', flags: ['run'] });
  expect(tree([], [failed(60 * 25)])).toEqual([]);
});

test('the newest job of a run decides its group', () => {
  const jobs = [job('spam', { id: 'first', state: 'stopped' }), job('spam', { id: 'second', kind: 'resume' })];
  expect(only(tree([run('spam', { state: 'stopped' })], jobs))).toMatchObject({ jobId: 'second', group: 'Running' });
});

test('a second run of a recipe is distinguished from the first by its folder', () => {
  const second = run('spam', { runDir: '/w/runs/spam-2' });
  expect(names(tree([second, run('spam', { startedAt: at(50) })]))).toEqual([['Finished', 'spam-2', 'spam']]);
});

test('a run in a folder of another name also shows the name of its recipe', () => {
  const item = only(tree([run('spam', { runDir: '/elsewhere/output' })]));
  expect(item).toMatchObject({ label: 'output', title: 'spam', description: expect.stringMatching(/^spam · /) });
  expect(item.tooltip.slice(0, 2)).toEqual(['output', 'recipe spam']);
});

test('the tooltip of a run names its method and its task as the catalog does', () => {
  const item = only(tree([run('spam', { method: 'lora', task: 'sequence_classification' })]));
  expect(item.tooltip).toContain('LoRA · Text classification');
  const columns = only(tree([run('spam', { method: 'spsft', trains: 'columns', task: 'causal_lm' })]));
  expect(columns.tooltip).toContain(`${methodLabel('spsft', 'columns')} · Language model`);
  expect(methodLabel('spsft', 'columns')).not.toBe(methodLabel('spsft', 'rows'));
});

test('runs in folders of one name are told apart by what is above them', () => {
  const runs = ['/w/a/out', '/w/b/out'].map(runDir => run('spam', { runDir }));
  expect(names(tree(runs))).toEqual([['Finished', 'a/out', 'b/out']]);
});

test('an ended run shows its metric and its age', () => {
  const ended = job('spam', { state: 'succeeded', metrics: { step: 60, values: { loss: 0.5, eval_accuracy: 0.975 } } });
  expect(only(tree([run('spam')], [ended])).description).toBe('accuracy 97.5% · 5 min ago');
  expect(only(tree([run('spam', { state: 'stopped', step: 12 })])).description).toBe('step 12 of 60 · loss 0.5 · 5 min ago');
});

test('runs on a cluster show where they are, and cannot be changed while it has them', () => {
  const cluster = { jobId: '12', log: '/w/log-12.txt' } as const;
  const queued = { ...cluster, phase: 'waiting', text: 'pending (Resources), behind 3 jobs' } as const;
  const groups = tree([
    run('waits', { state: 'queued', step: 0, totalSteps: 0, cluster: queued }),
    run('again', { state: 'stopped', step: 5, resumable: true, cluster: queued }),
    run('trains', { state: 'running', step: 5, cluster: { ...cluster, phase: 'running', text: 'running on n1', node: 'n1' } }),
    run('done', { cluster: { ...cluster, phase: 'ended', text: 'ended', node: 'n1' } }),
  ]);
  expect(names(groups)).toEqual([
    ['Running', 'trains'],
    ['Waiting', 'waits', 'again'],
    ['Finished', 'done'],
  ]);
  const items = groups.flatMap(group => group.items);
  const find = (name: string) => items.find(({ label }) => label === name);
  expect(find('waits')).toMatchObject({
    flags: ['run', 'active', 'stoppable', 'cluster'],
    description: expect.stringMatching(/^pending \(Resources\), behind 3 jobs/),
  });
  expect(find('again')?.flags).not.toEqual(expect.arrayContaining(['resumable']));
  expect(find('again')?.flags).not.toEqual(expect.arrayContaining(['deletable']));
  expect(find('trains')?.description).toMatch(/^running on n1 · /);
  expect(find('done')).toMatchObject({ flags: expect.arrayContaining(['deletable']), description: expect.not.stringContaining('ended') });
  expect(find('done')?.tooltip).toEqual(expect.arrayContaining(['Slurm job 12: ended', 'log /w/log-12.txt']));
});

test('the group of a sweep on a cluster can be stopped, its runs not', () => {
  const sweepDir = '/w/runs/many';
  const of = (id: string, phase: 'running' | 'ended') =>
    run(id, {
      runDir: `${sweepDir}/${id}`,
      sweepDir,
      state: 'running',
      cluster: { jobId: '12', phase, text: `${phase} on n1`, node: 'n1' },
    });
  const [group] = tree([of('001', 'running'), of('002', 'ended')]);
  expect(group).toMatchObject({ name: 'Sweep many', isOnCluster: true });
  for (const { flags } of group?.items ?? []) expect(flags).not.toEqual(expect.arrayContaining(['stoppable']));
  expect(tree([of('001', 'ended')])[0]).toMatchObject({ isOnCluster: false });
});

test('runs of a sweep stand in a group of their own, by name, and its job can be stopped', () => {
  const sweepDir = '/w/runs/spam-sweep';
  const member = (id: string, change: Partial<RunInfo> = {}): RunInfo =>
    run(`spam ${id}`, { runDir: `${sweepDir}/${id}`, sweepDir, ...change });
  const groups = tree(
    [member('002', { state: 'running' }), member('001', { state: 'stopped', step: 5 }), run('alone')],
    [job('spam-sweep', { kind: 'sweep', runDir: sweepDir })],
  );
  expect(names(groups)).toEqual([
    ['Running', 'Sweep: spam-sweep'],
    ['Sweep spam-sweep', '001', '002'],
    ['Finished', 'alone'],
  ]);
  expect(groups[0]?.items[0]?.flags).toContain('stoppable');
  expect(groups[1]?.sweepDir).toBe(sweepDir);
});

test('the tooltip of a run says which part of the machine it has, until it ends', () => {
  const share = { processes: 2, cores: 2, allCores: 8, gpus: [], allGpus: 0 };
  const tooltipOf = (change: Partial<JobRecord>) =>
    only(tree([run('spam', { state: 'running' })], [job('spam', { share, ...change })])).tooltip;
  expect(tooltipOf({})).toContain('2 processes on 2 of 8 cores');
  expect(tooltipOf({ state: 'succeeded' })).not.toContain('2 processes on 2 of 8 cores');
});
