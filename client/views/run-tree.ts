/** The view *Runs* as plain data: runs on the disk and jobs of the daemon, one item for each, in groups. */

import { choosesByScores } from '../../trainer/catalog/methods.ts';
import { writesText } from '../../trainer/catalog/objectives.ts';
import { compact, grouped } from '../../trainer/protocol/format.ts';
import type { JobRecord, RunInfo } from '../../trainer/protocol/rpc-messages.ts';
import { distinctNames, folderName, isNamedAfter } from '../../trainer/protocol/run-names.ts';
import { hasEnded } from '../daemon/job-store.ts';
import { ageText, isTraining, kindText, metricText, progressText, shortProgressText } from '../status/status-text.ts';

export type RunGroupName = 'Running' | 'Waiting' | 'Stopped' | 'Failed' | 'Finished';

/** In the order of the view; what can be forgotten stands last. */
const GROUPS: readonly RunGroupName[] = ['Running', 'Waiting', 'Stopped', 'Failed', 'Finished'];

export interface RunItem {
  /** Stays the same while the run does, so that the tree keeps its selection. */
  readonly id: string;
  readonly group: RunGroupName;
  /** The name of its folder, with as much in front of it as tells it from other runs. */
  readonly label: string;
  /** The name of the recipe, of a run that has a folder. */
  readonly title?: string;
  /** Behind the label: progress and metric of what runs, metric and age of what has ended. */
  readonly description: string;
  /** Markdown-free lines. */
  readonly tooltip: readonly string[];
  /** A codicon. */
  readonly icon: string;
  /** What can be done, as words that a menu's `when` looks for. */
  readonly flags: readonly RunFlag[];
  readonly runDir?: string;
  readonly jobId?: string;
  /** When it began, as ISO 8601. */
  readonly startedAt?: string;
}

/** `run`: it has a page; `folder`: it has files; `scores`: it scores rows, or has; `answers`: it writes text; `job`: it is no training. */
export type RunFlag = 'run' | 'job' | 'folder' | 'scores' | 'active' | 'stoppable' | 'resumable' | 'deletable' | 'adapter' | 'answers';

export interface RunGroup {
  readonly name: RunGroupName;
  readonly items: readonly RunItem[];
}

export interface RunTreeParams {
  readonly runs: readonly RunInfo[];
  readonly jobs: readonly JobRecord[];
  readonly nowMs: number;
}

/** A failed start without a folder is shown for a day. */
const SHOWN_WITHOUT_FOLDER_MS = 86_400_000;

/** Groups that have items. A run and its newest job are one item; jobs that are no training are shown while they are at work. */
export function runTree({ runs, jobs, nowMs }: RunTreeParams): readonly RunGroup[] {
  const newest = new Map<string, JobRecord>();
  for (const job of jobs) if (isTraining(job) && job.runDir !== undefined) newest.set(job.runDir, job);
  const known = new Set(runs.map(({ runDir }) => runDir));
  const names = distinctNames([...known, ...newest.keys()]);
  const items = [
    ...jobs.filter(job => !isTraining(job) && !hasEnded(job)).map(jobItem),
    ...[...newest.values()]
      .filter(job => !known.has(job.runDir ?? '') && isShownWithoutFolder(job, nowMs))
      .map(job => runItem({ job, nowMs, names })),
    ...[...runs]
      .sort((a, b) => b.startedAt.localeCompare(a.startedAt))
      .map(run => runItem({ run, job: newest.get(run.runDir), nowMs, names })),
  ];
  return GROUPS.map(name => ({ name, items: items.filter(({ group }) => group === name) })).filter(group => group.items.length > 0);
}

/** The newest run, of this recipe where a name is given; whatever group it is in. */
export function newestRun(items: readonly RunItem[], name?: string): RunItem | undefined {
  const ofName = items.filter(
    ({ runDir, title }) => runDir !== undefined && (name === undefined || title === name || isNamedAfter(folderName(runDir), name)),
  );
  const begun = ({ startedAt = '' }: RunItem): string => startedAt;
  return ofName.reduce<RunItem | undefined>((best, item) => (best === undefined || begun(item) > begun(best) ? item : best), undefined);
}

const isShownWithoutFolder = (job: JobRecord, nowMs: number): boolean =>
  !hasEnded(job) || (job.state === 'failed' && nowMs - Date.parse(job.endedAt ?? job.createdAt) < SHOWN_WITHOUT_FOLDER_MS);

function jobItem(job: JobRecord): RunItem {
  const isQueued = job.state === 'queued';
  return {
    id: job.id,
    group: isQueued ? 'Waiting' : 'Running',
    label: `${kindText(job)}: ${job.title}`,
    description: shortProgressText(job),
    tooltip: [`${kindText(job)} of ${job.title}`, progressText(job)],
    icon: isQueued ? 'clock' : 'sync~spin',
    flags: ['job', 'active'],
    jobId: job.id,
  };
}

const ICONS: Readonly<Record<RunGroupName, string>> = {
  Running: 'sync~spin',
  Waiting: 'clock',
  Stopped: 'debug-pause',
  Failed: 'error',
  Finished: 'pass',
};

interface RunItemParams {
  readonly run?: RunInfo;
  readonly job?: JobRecord;
  readonly nowMs: number;
  /** By folder. */
  readonly names: ReadonlyMap<string, string>;
}

function runItem({ run, job, nowMs, names }: RunItemParams): RunItem {
  const isActive = job !== undefined && !hasEnded(job);
  const group = isActive ? (job.state === 'queued' ? 'Waiting' : 'Running') : endedGroup(run, job);
  const isBusy = group === 'Running' || group === 'Waiting';
  const hasSaved = run !== undefined && (run.resumable ?? run.step > 0);
  // A run that the command line has started is at work without a job of the daemon's.
  const canResume = !isBusy && (job?.resume !== undefined || (hasSaved && run.state !== 'finished'));
  const runDir = run?.runDir ?? job?.runDir;
  const label = names.get(runDir ?? '') ?? job?.title ?? '';
  const title = run?.name;
  const other = title === undefined || isNamedAfter(folderName(label), title) ? undefined : title;
  return {
    id: runDir ?? label,
    group,
    label,
    title,
    description: join(other, isActive ? activeText(job, run) : restText(run, job, nowMs)),
    tooltip: tooltipLines(label, run, job, runDir),
    icon: ICONS[group],
    flags: [
      'run',
      ...(run === undefined ? [] : (['folder'] as const)),
      ...(run !== undefined && choosesByScores(run.method) && (isBusy || run.step > 0) ? (['scores'] as const) : []),
      ...(isActive ? (['active', 'stoppable'] as const) : []),
      ...(canResume ? (['resumable'] as const) : []),
      ...(run !== undefined && !isBusy ? (['deletable'] as const) : []),
      ...(hasSaved && !isBusy ? (['adapter'] as const) : []),
      ...(hasSaved && !isBusy && writesText(run.task) ? (['answers'] as const) : []),
    ],
    runDir,
    jobId: isActive ? job.id : undefined,
    startedAt: run?.startedAt ?? job?.createdAt,
  };
}

const JOB_GROUPS: Readonly<Record<JobRecord['state'], RunGroupName>> = {
  queued: 'Waiting',
  running: 'Running',
  stopping: 'Running',
  succeeded: 'Finished',
  stopped: 'Stopped',
  aborted: 'Stopped',
  failed: 'Failed',
};

function endedGroup(run: RunInfo | undefined, job: JobRecord | undefined): RunGroupName {
  const isAtWork = run?.state === 'preparing' || run?.state === 'running';
  // Its job has ended since the run was looked at.
  if (isAtWork && job?.endedAt !== undefined && run.updatedAt <= job.endedAt) return JOB_GROUPS[job.state];
  switch (run?.state) {
    case 'preparing':
    case 'running':
      return 'Running';
    case 'finished':
      return 'Finished';
    case 'stopped':
    case 'interrupted':
      return 'Stopped';
    case 'failed':
      return 'Failed';
    case undefined:
      return job?.state === 'failed' ? 'Failed' : 'Stopped';
  }
}

/** A job that resumes has said nothing yet of what the run knows. */
const activeText = (job: JobRecord, run: RunInfo | undefined): string =>
  join(shortProgressText(job), metricText({ ...run?.metrics, ...job.metrics?.values }));

function restText(run: RunInfo | undefined, job: JobRecord | undefined, nowMs: number): string {
  if (run === undefined) return job?.failure?.message ?? '';
  const steps = run.totalSteps > 0 && run.state !== 'finished' ? `step ${grouped(run.step)} of ${grouped(run.totalSteps)}` : undefined;
  // The folder says what the run hands over, which may be its best checkpoint; the job what it said last. Older runs kept the loss alone.
  const metric = metricText(run.metrics ?? job?.metrics?.values) ?? metricText(run.loss === undefined ? {} : { loss: run.loss });
  return join(steps, metric, ageText((nowMs - Date.parse(run.updatedAt)) / 1000));
}

function tooltipLines(label: string, run: RunInfo | undefined, job: JobRecord | undefined, runDir: string | undefined): readonly string[] {
  const reason = run?.reason ?? job?.failure?.message;
  const state = job !== undefined && !hasEnded(job) ? progressText(job) : (run?.state ?? job?.state);
  return [
    label,
    ...(run === undefined || run.name === label ? [] : [`recipe ${run.name}`]),
    [state, reason].filter(text => text !== undefined).join(': '),
    ...(run === undefined
      ? []
      : [`step ${grouped(run.step)} of ${grouped(run.totalSteps)}${run.epoch === undefined ? '' : `, epoch ${compact(run.epoch)}`}`]),
    ...(run === undefined ? [] : [`started ${new Date(run.startedAt).toLocaleString()}`]),
    ...(job?.failure?.hint === undefined ? [] : [job.failure.hint]),
    ...(runDir === undefined ? [] : [runDir]),
  ].filter(line => line !== '');
}

const join = (...parts: readonly (string | undefined)[]): string => parts.filter(part => part !== undefined && part !== '').join(' · ');
